/**
 * Schedules: an event for each time that a pattern names in a time zone. The last tick is kept in the commit that enqueues its
 * event, and its time is the dedupe id, so a tick is never delivered twice and a stop of the node is noticed. While a tenant is
 * suspended nothing is sent: what passes then is caught up with as after a stop. What is kept goes with the schedule, so that
 * one that comes again begins anew. Begins with `update`; ends with `stop`.
 */
import { Cron } from 'croner';
import { shortHash, shortHashLength } from '../../base/short-hash.ts';
import { scanRecords } from '../../store/scan.ts';
import type { Table, Write } from '../../store/table.ts';
import { makeEvent } from '../cloud-event.ts';
import type { EventClock, EventFunction, Subscription } from '../model.ts';

type CronSubscription = Extract<Subscription, { cron: string }>;

export type CronSourceOptions = {
  clock: EventClock;
  table: Pick<Table, 'get' | 'scan' | 'commit'>;
  /** Enqueues an event for a function together with `also`. */
  send: (tenant: string, name: string, event: ReturnType<typeof makeEvent>, dedupeId: string, also: readonly Write[]) => Promise<unknown>;
  onError: (error: unknown) => void;
};

const caughtUpMax = 1000;
const retryMs = 1000;
const lateMsMax = 60_000;
/** A timer never waits longer: clocks are set, and time zones change their rules. */
const waitMsMax = 3_600_000;

/** Throws what croner says of a pattern or zone. */
const cronOf = ({ cron, timeZone }: Pick<CronSubscription, 'cron' | 'timeZone'>): Cron => new Cron(cron, { timezone: timeZone, paused: true });

const nextAfter = (cron: Cron, at: number): number | undefined => cron.nextRun(new Date(at))?.getTime();

/** Why a schedule cannot be taken; undefined if it can. */
export const cronProblem = (cron: string, timeZone: string, now: number): string | undefined => {
  try {
    return nextAfter(cronOf({ cron, timeZone }), now) === undefined ? 'it never fires' : undefined;
  } catch (error) {
    return (error instanceof Error ? error.message : String(error)).replace(/^CronPattern: |^CronDate: /, '').slice(0, 200);
  }
};

/**
 * Ticks after `last` that are due at `now`: all of them, the latest thousand if there are more, or only the latest; with
 * `none` only if it is no older than a minute, so that it was not missed.
 */
export const dueTicks = (cron: Cron, last: number, now: number, catchUp: CronSubscription['catchUp']): number[] => {
  if (catchUp !== 'all') {
    const latest = latestTicks(cron, last, now, 1)[0];
    return latest !== undefined && (catchUp === 'last' || latest > now - lateMsMax) ? [latest] : [];
  }
  const due: number[] = [];
  for (let next = nextAfter(cron, last); next !== undefined && next <= now; next = nextAfter(cron, next)) {
    if (due.length === caughtUpMax) return latestTicks(cron, last, now, caughtUpMax);
    due.push(next);
  }
  return due;
};

const latestTicks = (cron: Cron, last: number, now: number, most: number): number[] => {
  // Before the moment that is given, the one at it not included: with the second that follows there may be one too many.
  const runs = cron.previousRuns(most + 1, new Date(now + 1000)).map((run) => run.getTime());
  const due = runs.filter((run) => run > last && run <= now);
  return due.sort((a, b) => a - b).slice(-most);
};

type Job = {
  target: { tenant: string; name: string };
  subscription: CronSubscription;
  key: string;
  cron: Cron;
  callOff: (() => void) | undefined;
  /** The look at it that is under way, or was the last. */
  looking: Promise<void>;
  ended: boolean;
};

const keysPrefix = (tenant: string): string => `${tenant}/cron/`;
const hashOf = ({ cron, timeZone }: CronSubscription): string => shortHash(`${cron}\n${timeZone}`);

export class CronSource {
  readonly #options: CronSourceOptions;
  readonly #jobs = new Map<string, Job>();
  /** By key, what is still to be written of a schedule that has ended. */
  readonly #ending = new Map<string, Promise<void>>();
  #begun = false;

  constructor(options: CronSourceOptions) {
    this.#options = options;
  }

  /** Takes up the schedules of these functions, and lets go of all others. */
  update(functions: readonly EventFunction[], tenants: readonly string[]): void {
    const wanted = new Set<string>();
    for (const { tenant, name, subscriptions, suspended } of functions) {
      for (const subscription of subscriptions) {
        if (!('cron' in subscription)) continue;
        const key = `${keysPrefix(tenant)}${name}/${hashOf(subscription)}`;
        wanted.add(key);
        const job = this.#jobs.get(key);
        if (suspended) this.#end(job);
        else if (job) job.subscription = subscription;
        else this.#begin(key, { tenant, name }, subscription);
      }
    }
    for (const [key, job] of this.#jobs) {
      if (wanted.has(key)) continue;
      this.#end(job);
      this.#forget(key);
    }
    if (!this.#begun) void this.#forgetOthers(tenants, wanted).catch(this.#options.onError);
    this.#begun = true;
  }

  stop(): void {
    for (const job of this.#jobs.values()) this.#end(job);
  }

  #begin(key: string, target: Job['target'], subscription: CronSubscription): void {
    try {
      const looking = this.#ending.get(key) ?? Promise.resolve();
      const job: Job = { target, subscription, key, cron: cronOf(subscription), callOff: undefined, looking, ended: false };
      this.#jobs.set(key, job);
      this.#look(job);
    } catch (error) {
      this.#options.onError(error);
    }
  }

  #end(job: Job | undefined): void {
    if (!job) return;
    job.ended = true;
    job.callOff?.();
    this.#jobs.delete(job.key);
    this.#afterwards(job.key, () => job.looking);
  }

  #forget(key: string): void {
    const { table, onError } = this.#options;
    this.#afterwards(key, () => table.commit([{ key, delete: true }]).then(() => undefined, onError));
  }

  /** Schedules that went while the node did not run. */
  async #forgetOthers(tenants: readonly string[], wanted: ReadonlySet<string>): Promise<void> {
    for (const tenant of tenants)
      for await (const { key } of scanRecords(this.#options.table, keysPrefix(tenant))) if (!wanted.has(key) && !this.#jobs.has(key)) this.#forget(key);
  }

  #afterwards(key: string, work: () => Promise<void>): void {
    const ended = (this.#ending.get(key) ?? Promise.resolve()).then(work).finally(() => this.#ending.get(key) === ended && this.#ending.delete(key));
    this.#ending.set(key, ended);
  }

  #look(job: Job): void {
    job.looking = job.looking.then(() => (job.ended ? undefined : this.#tick(job)));
  }

  async #tick(job: Job): Promise<void> {
    const { clock, onError } = this.#options;
    let waitMs = retryMs;
    try {
      const next = await this.#fire(job);
      waitMs = next === undefined ? waitMsMax : Math.min(Math.max(0, next - clock.now()), waitMsMax);
    } catch (error) {
      onError(error);
    }
    if (!job.ended) job.callOff = clock.after(waitMs, () => this.#look(job));
  }

  /** Sends what is due, and returns when the next is. */
  async #fire(job: Job): Promise<number | undefined> {
    const { clock, table, send } = this.#options;
    const { subscription, cron, key, target } = job;
    const now = clock.now();
    const kept = await table.get<{ last: number }>(key);
    if (!kept) await table.commit([{ key, put: { last: now } }]);
    const due = dueTicks(cron, kept?.value.last ?? now, now, subscription.catchUp);
    for (const at of due) {
      if (job.ended) return undefined;
      const id = `${key.slice(-shortHashLength)}-${at}`;
      const event = makeEvent(
        { id, source: `/cron/${target.name}`, type: 'nacelle.cron', time: new Date(at).toISOString(), subject: subscription.cron },
        undefined,
        null,
      );
      await send(target.tenant, target.name, event, id, [{ key, put: { last: at } }]);
    }
    return nextAfter(cron, now);
  }
}
