// A Promise whose jobs we run: the engine never drains its own job queue inside a synchronous export. Async functions are
// lowered to generators over the global Promise, so this class sees all of them.
type Job = () => void;
type Settle = (value: unknown) => void;
type State = 'pending' | 'fulfilled' | 'rejected';

let jobs: Job[] = [];

/** Runs every job there is, and those that they add. */
export function drain(): void {
  while (jobs.length > 0) {
    const batch = jobs;
    jobs = [];
    for (const job of batch) job();
  }
}

const isObject = (value: unknown): value is object => (typeof value === 'object' && value !== null) || typeof value === 'function';

class JobPromise {
  #state: State = 'pending';
  #value: unknown;
  #reactions: Job[] = [];

  constructor(executor: (resolve: Settle, reject: Settle) => void) {
    const { resolve, reject } = this.#settlers();
    try {
      executor(resolve, reject);
    } catch (error) {
      reject(error);
    }
  }

  #settlers(): { resolve: Settle; reject: Settle } {
    let done = false;
    const once = (settle: Settle) => (value: unknown) => {
      if (!done) {
        done = true;
        settle(value);
      }
    };
    return { resolve: once((value) => this.#resolve(value)), reject: once((error) => this.#settle('rejected', error)) };
  }

  #resolve(value: unknown): void {
    if (value === this) this.#settle('rejected', new TypeError('a promise cannot resolve to itself'));
    else if (!isObject(value)) this.#settle('fulfilled', value);
    else this.#follow(value);
  }

  #follow(value: object): void {
    const { resolve, reject } = this.#settlers();
    try {
      const then: unknown = Reflect.get(value, 'then');
      if (typeof then === 'function') jobs.push(() => this.#adopt(value, then, resolve, reject));
      else this.#settle('fulfilled', value);
    } catch (error) {
      reject(error);
    }
  }

  #adopt(value: object, then: CallableFunction, resolve: Settle, reject: Settle): void {
    try {
      then.call(value, resolve, reject);
    } catch (error) {
      reject(error);
    }
  }

  #settle(state: State, value: unknown): void {
    this.#state = state;
    this.#value = value;
    jobs.push(...this.#reactions);
    this.#reactions = [];
  }

  // biome-ignore lint/suspicious/noThenProperty: this is a Promise
  then(onFulfilled?: unknown, onRejected?: unknown): JobPromise {
    return new JobPromise((resolve, reject) => {
      const react = () => {
        const handler = this.#state === 'fulfilled' ? onFulfilled : onRejected;
        if (typeof handler !== 'function') return (this.#state === 'fulfilled' ? resolve : reject)(this.#value);
        try {
          resolve(handler(this.#value));
        } catch (error) {
          reject(error);
        }
      };
      if (this.#state === 'pending') this.#reactions.push(react);
      else jobs.push(react);
    });
  }

  catch(onRejected?: unknown): JobPromise {
    return this.then(undefined, onRejected);
  }

  finally(after: () => unknown): JobPromise {
    return this.then(
      (value: unknown) => JobPromise.resolve(after()).then(() => value),
      (error: unknown) =>
        JobPromise.resolve(after()).then(() => {
          throw error;
        }),
    );
  }

  static resolve(value?: unknown): JobPromise {
    return value instanceof JobPromise ? value : new JobPromise((resolve) => resolve(value));
  }

  static reject(error?: unknown): JobPromise {
    return new JobPromise((_resolve, reject) => reject(error));
  }

  static all(items: Iterable<unknown>): JobPromise {
    return new JobPromise((resolve, reject) => {
      const all = [...items];
      const values = new Array<unknown>(all.length);
      let left = all.length;
      if (left === 0) resolve(values);
      for (const [at, item] of all.entries()) {
        JobPromise.resolve(item).then((value: unknown) => {
          values[at] = value;
          if (--left === 0) resolve(values);
        }, reject);
      }
    });
  }

  static allSettled(items: Iterable<unknown>): JobPromise {
    const settled = (item: unknown) =>
      JobPromise.resolve(item).then(
        (value: unknown) => ({ status: 'fulfilled', value }),
        (reason: unknown) => ({ status: 'rejected', reason }),
      );
    return JobPromise.all([...items].map(settled));
  }

  static any(items: Iterable<unknown>): JobPromise {
    const turned = (promise: JobPromise) =>
      promise.then(
        (value: unknown) => JobPromise.reject(value),
        (error: unknown) => error,
      );
    const all = [...items].map((item) => turned(JobPromise.resolve(item)));
    return turned(JobPromise.all(all).then((errors: unknown) => new AggregateError(errors as unknown[], 'all promises were rejected')));
  }

  static withResolvers(): { promise: JobPromise; resolve: Settle; reject: Settle } {
    let settlers!: { resolve: Settle; reject: Settle };
    const promise = new JobPromise((resolve, reject) => {
      settlers = { resolve, reject };
    });
    return { promise, ...settlers };
  }

  static race(items: Iterable<unknown>): JobPromise {
    return new JobPromise((resolve, reject) => {
      for (const item of items) JobPromise.resolve(item).then(resolve, reject);
    });
  }
}

Object.assign(globalThis, { Promise: JobPromise, queueMicrotask: (job: Job) => jobs.push(job) });
