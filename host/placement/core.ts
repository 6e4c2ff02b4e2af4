import { Problem } from '../base/errors.ts';
import { measured } from './charge.ts';
import { checkConfig } from './check.ts';
import { cancelled, dropRefused, loaded, loadFailed, refused, released, request, taken } from './executions.ts';
import { destroyed, drained, lost, startFailed, warm } from './lifecycle.ts';
import type { Placement, PlacementAction, PlacementConfig, PlacementEvent } from './model.ts';
import { addVersion, prewarm, removeReservation, removeVersion, resumeTenant, setReservation, suspendTenant } from './registry.ts';
import { settle } from './serve.ts';
import { snapshotOf } from './snapshot.ts';
import { type Isolate, State } from './state.ts';
import { adjustPools, fireTimers } from './timers.ts';

const TICK_MS_MAX = 1000;

type Event<T extends PlacementEvent['type']> = Extract<PlacementEvent, { type: T }>;

type Handlers = { [T in PlacementEvent['type']]: (state: State, event: Event<T>) => void };

/** What an event of an isolate does; nothing if the isolate is forgotten already. */
const known =
  <T extends { isolate: number }>(handle: (state: State, isolate: Isolate, event: T) => void) =>
  (state: State, event: T): void => {
    const isolate = state.isolates.get(event.isolate);
    if (isolate) handle(state, isolate, event);
  };

const handlers: Handlers = {
  'request': request,
  'cancelled': cancelled,
  'refused': refused,
  'load-failed': loadFailed,
  'loaded': loaded,
  'taken': taken,
  'released': released,
  'measured': measured,
  'drop-refused': dropRefused,
  'isolate-warm': known(warm),
  'isolate-start-failed': known(startFailed),
  'isolate-drained': known(drained),
  'isolate-destroyed': known(destroyed),
  'isolate-lost': known(lost),
  'version-added': (state, { spec }) => addVersion(state, spec),
  'version-removed': (state, { version }) => removeVersion(state, version),
  'tenant-suspended': (state, { tenant }) => suspendTenant(state, tenant),
  'tenant-resumed': (state, { tenant }) => resumeTenant(state, tenant),
  'reservation-set': (state, { reservation }) => setReservation(state, reservation),
  'reservation-removed': (state, { name }) => removeReservation(state, name),
  'prewarm': (state, { version, instances }) => prewarm(state, version, instances),
  'tick': adjustPools,
};

class Core implements Placement {
  private readonly state: State;

  constructor(config: PlacementConfig) {
    this.state = new State(config);
    for (const pool of this.state.pools) this.state.dirty.add(pool);
  }

  handle(event: PlacementEvent, nowMs: number): PlacementAction[] {
    const { state } = this;
    state.clock.advance(nowMs);
    state.actions = [];
    (handlers[event.type] as (state: State, event: PlacementEvent) => void)(state, event);
    settle(state);
    // What the event freed serves a request at its deadline still.
    if (state.timers.firstRank <= state.nowMs) fireTimers(state);
    settle(state);
    return state.actions;
  }

  get wakeAtMs(): number {
    const { timers, nowMs, clock } = this.state;
    return clock.toCaller(Math.max(nowMs, Math.min(timers.firstRank, nowMs + TICK_MS_MAX)));
  }

  snapshot(nowMs: number) {
    this.state.clock.advance(nowMs);
    return snapshotOf(this.state);
  }
}

/**
 * Begins placement; the first event (a `tick` will do) starts the isolates that stand by.
 * @throws Problem `config-invalid` with every problem of `config`
 */
export function createPlacement(config: PlacementConfig): Placement {
  const problems = checkConfig(config);
  if (problems.length > 0) throw new Problem('config-invalid', problems.join('; '), problems);
  return new Core(config);
}
