import type { Parent } from './resource.ts';

/** Called when something may have become ready; it is then asked again. */
export type Listener = () => void;

/** Something a guest can wait for. A listener is called at most once for each `listen`. */
export interface Readiness {
  readonly ready: boolean;
  listen(listener: Listener): void;
  unlisten(listener: Listener): void;
}

/** The resource `wasi:io/poll.pollable`. Waiting costs nothing until a guest waits, and ends with the last listener. */
export class Pollable {
  readonly source: Readiness;
  readonly parent: Parent | null;
  /** The listener of the wait in which this pollable stands, if the guest is suspended in one. */
  waiting: Listener | null = null;

  constructor(source: Readiness, parent: Parent | null) {
    this.source = source;
    this.parent = parent;
    if (parent !== null) parent.children++;
  }

  get ready(): boolean {
    return this.source.ready;
  }

  drop(): void {
    if (this.waiting !== null) this.source.unlisten(this.waiting);
    if (this.parent !== null) this.parent.children--;
  }
}

/**
 * Listeners over a promise-giving wait: however many come and go, one promise at a time is outstanding, so a guest that
 * polls in a loop leaves nothing behind.
 */
export class Signal {
  private readonly wait: () => Promise<void>;
  private readonly listeners = new Set<Listener>();
  private outstanding = false;

  constructor(wait: () => Promise<void>) {
    this.wait = wait;
  }

  listen(listener: Listener): void {
    this.listeners.add(listener);
    if (this.outstanding) return;
    this.outstanding = true;
    const fire = () => this.fire();
    this.wait().then(fire, fire);
  }

  unlisten(listener: Listener): void {
    this.listeners.delete(listener);
  }

  private fire(): void {
    this.outstanding = false;
    const listeners = [...this.listeners];
    this.listeners.clear();
    for (const listener of listeners) listener();
  }
}

/** Resolves when one of `pollables` is ready. All listeners are gone by then; dropping a pollable ends its part. */
export function whenAny(pollables: readonly Pollable[]): Promise<void> {
  return new Promise((resolve) => {
    const listener = () => {
      if (!pollables.some((pollable) => pollable.ready)) return listen();
      for (const pollable of pollables) {
        pollable.source.unlisten(listener);
        pollable.waiting = null;
      }
      resolve();
    };
    const listen = () => {
      for (const pollable of pollables) {
        pollable.waiting = listener;
        pollable.source.listen(listener);
      }
    };
    listen();
  });
}
