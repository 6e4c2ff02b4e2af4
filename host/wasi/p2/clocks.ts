import type { HostInterface } from '../../component/host.ts';
import type { WasiContext } from '../context.ts';
import { frozenMs, frozenNs } from '../deterministic.ts';
import { Pollable } from './pollable.ts';
import { Timer } from './timer.ts';

type C = WasiContext;
type Datetime = { seconds: bigint | number; nanoseconds: number };

const instantMax = 0xffff_ffff_ffff_ffffn;

function subscribe({ grant }: C, deadlineNs: bigint): Pollable {
  if (grant.deterministic) return new Pollable(new Timer(0n), null);
  return new Pollable(new Timer(deadlineNs > instantMax ? instantMax : deadlineNs), null);
}

export const monotonicClock: HostInterface<C> = {
  name: 'wasi:clocks/monotonic-clock',
  waitless: ['now', 'resolution'],
  functions: {
    now: ({ grant }: C) => (grant.deterministic ? frozenNs : process.hrtime.bigint()),
    resolution: () => 1n,
    'subscribe-instant': (context: C, when: bigint) => subscribe(context, when),
    'subscribe-duration': (context: C, when: bigint) => subscribe(context, when === 0n ? 0n : process.hrtime.bigint() + when),
  },
};

export function datetimeOf(ms: number): Datetime {
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanoseconds: (ms - seconds * 1000) * 1_000_000 };
}

export const wallClock: HostInterface<C> = {
  name: 'wasi:clocks/wall-clock',
  waitless: 'all',
  functions: {
    now: ({ grant }: C) => datetimeOf(grant.deterministic ? frozenMs : Date.now()),
    resolution: (): Datetime => ({ seconds: 0, nanoseconds: 1_000_000 }),
  },
};

/** Guests live in UTC: where the node stands is not theirs to know. */
export const timezone: HostInterface<C> = {
  name: 'wasi:clocks/timezone',
  waitless: 'all',
  functions: {
    display: () => ({ utcOffset: 0, name: 'UTC', inDaylightSavingTime: false }),
    'utc-offset': () => 0,
  },
};
