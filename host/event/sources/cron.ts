/**
 * Schedules: an event for each time that a pattern names in a time zone. The last tick is kept in the commit that enqueues its
 * event, and its time is the dedupe id, so a tick is never delivered twice and a stop of the node is noticed. Begins with
 * `update`; ends with `stop`.
 */
import { createHash } from 'node:crypto';
import { Cron } from 'croner';
import type { Table, Write } from '../../store/table.ts';
import { makeEvent } from '../cloud-event.ts';
import type { EventClock, EventFunction, Subscription } from '../model.ts';

type CronSubscription = Extract<Subscription, { cron: string }>;

export type CronSourceOptions = {
  clock: EventClock;
  table: Pick<Table, 'get' | 'commit'>;
  /** Enqueues an event for a function together with `also`. */
  send: (tenant: string, name: string, event: ReturnType<typeof makeEvent>, dedupeId: string, also: readonly Write[]) => Promise<unknown>;
  onError: (error: unknown) => void;
};

const caughtUpMax = 1000;
const retryMs = 1000;
const lateMsMax = 60_000;
const hashLength = 22;
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
 * Ticks after `last` that are due at `now`: all of them, at most a thousand, or only the latest; with `none` only if it is no
 * older than a minute, so that it was not missed.
 */
export const dueTicks = (cron: Cron, last: number, now: number, catchUp: CronSubscription['catchUp']): number[] => {
  if (catchUp !== 'all') {
    // Before the moment that is given, the one at it not included: with the second that follows there may be one too many.
    const runs = cron.previousRuns(2, new Date(now + 1000)).map((run) => run.getTime());
    const latest = runs.filter((run) => run <= now).sort((a, b) => b - a)[0];
    return latest !== undefined && latest > last && latest <= now && (catchUp === 'last' || latest > now - lateMsMax) ? [latest] : [];
  }
  const due: number[] = [];
  for (let next = nextAfter(cron, last); next !== undefined && next <= now && due.length < caughtUpMax; next = nextAfter(cron, next)) due.push(next);
  return due;
};

type Job = {
  target: { tenant: string; name: string };
  subscription: CronSubscription;
  key: string;
  cron: Cron;
  callOff: (() => void) | undefined;
  ended: boolean;
};

const hashOf = ({ cron, timeZone }: CronSubscription): string => createHash('sha256').update(`${cron}\n${timeZone}`).digest('base64url').slice(0, hashLength);

export class CronSource {
  readonly #options: CronSourceOptions;
  readonly #jobs = new Map<string, Job>();

  constructor(options: CronSourceOptions) {
    this.#options = options;
  }

  /** Takes up the schedules of these functions, and lets go of all others. */
  update(functions: readonly EventFunction[]): void {
    const wanted = new Set<string>();
    for (const { tenant, name, subscriptions } of functions) {
      for (const subscription of subscriptions) {
        if (!('cron' in subscription)) continue;
        const key = `${tenant}/cron/${name}/${hashOf(subscription)}`;
        wanted.add(key);
        if (!this.#jobs.has(key)) this.#begin(key, { tenant, name }, subscription);
      }
    }
    for (const [key, job] of this.#jobs) if (!wanted.has(key)) this.#end(key, job);
  }

  stop(): void {
    for (const [key, job] of this.#jobs) this.#end(key, job);
  }

  #begin(key: string, target: Job['target'], subscription: CronSubscription): void {
    try {
      const job: Job = { target, subscription, key, cron: cronOf(subscription), callOff: undefined, ended: false };
      this.#jobs.set(key, job);
      void this.#tick(job);
    } catch (error) {
      this.#options.onError(error);
    }
  }

  #end(key: string, job: Job): void {
    job.ended = true;
    job.callOff?.();
    this.#jobs.delete(key);
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
    if (!job.ended) job.callOff = clock.after(waitMs, () => void this.#tick(job));
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
      const id = `${key.slice(-hashLength)}-${at}`;
      const event = makeEvent(
        { id, source: `/cron/${target.name}`, type: 'nacelle.cron', time: new Date(at).toISOString(), subject: subscription.cron },
        undefined,
        null,
      );
      await send(target.tenant, target.name, event, id, [{ key, put: { last: at } }]);
    }
    return due.length === caughtUpMax ? now : nextAfter(cron, now);
  }
}
