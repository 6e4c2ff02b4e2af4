import { expectTaking, freeInstances, holdingOf, removeInstances, restoreInstance, takeIdle } from './capacity.ts';
import type { IsolateName, PlacementEvent, VersionName } from './model.ts';
import { activate, dropRemoved } from './place.ts';
import { ask, askAgain, reject } from './request.ts';
import { retire } from './start.ts';
import { type Holding, type Isolate, isolateLabel, type Placed, type State } from './state.ts';
import { dequeue } from './wait.ts';

type Event<T extends PlacementEvent['type']> = Extract<PlacementEvent, { type: T }>;

/** What is told of instances that the core knows nothing of (any more) is noted too: the rest of their story comes. */
function holdingFor(state: State, isolate: IsolateName, name: VersionName): Holding | undefined {
  const version = state.versions.get(name) ?? state.retired.get(name);
  const place = state.isolates.get(isolate);
  return place && version && place.tenant === version.tenant ? holdingOf(state, place, version) : undefined;
}

/** What freed something in an isolate serves those who wait. */
function serve(state: State, isolate: Isolate): void {
  if (isolate.tenant && isolate.tenant.waiting > 0) state.dirty.add(isolate.tenant);
}

export function request(state: State, { execution, version: name, queueMs }: Event<'request'>): void {
  const version = state.versions.get(name);
  if (state.placed.has(execution) || state.waiting.has(execution)) return;
  if (!version) reject(state, execution, undefined, { code: 'function-not-found', message: `${name} is not known here`, retryAfterMs: null });
  else ask(state, { execution, version, attempt: 1, queueMs: queueMs ?? state.config.queueMs, arrivedMs: state.nowMs, before: [] });
}

export function cancelled(state: State, { execution }: Event<'cancelled'>): void {
  const waiting = state.waiting.get(execution);
  if (waiting) dequeue(state, waiting);
}

function forgetPlaced(state: State, execution: string): Placed | undefined {
  const placed = state.placed.get(execution);
  if (placed) {
    state.placed.delete(execution);
    placed.isolate.placed.delete(execution);
  }
  return placed;
}

export function refused(state: State, { execution, reason }: Event<'refused'>): void {
  const placed = forgetPlaced(state, execution);
  if (!placed) return;
  const { isolate, version, instance, attempt } = placed;
  const holding = isolate.holdings.get(version);
  if (holding && instance === 'new') removeInstances(state, holding, 1, 'busy');
  else if (instance === 'idle' && state.isolates.has(isolate.name)) expectTaking(state, isolate, version);
  if (reason === 'draining') retire(state, isolate, 'scale-in', 'it takes no work any more');
  serve(state, isolate);
  const why = reason === 'busy' ? 'its instance was taken meanwhile' : 'drains';
  // To be slower than gateways is no attempt that failed: as many instances as they took are not idle any more.
  askAgain(state, execution, version, reason === 'busy' ? attempt - 1 : attempt, { candidate: isolateLabel(isolate), reason: why });
}

export function loadFailed(state: State, { execution, code, message }: Event<'load-failed'>): void {
  const placed = forgetPlaced(state, execution);
  if (!placed) return;
  const holding = placed.isolate.holdings.get(placed.version);
  if (holding) removeInstances(state, holding, 1, 'busy');
  serve(state, placed.isolate);
  reject(
    state,
    execution,
    placed.version,
    { code, message, retryAfterMs: null },
    { named: [{ candidate: isolateLabel(placed.isolate), reason: message }], more: 0 },
  );
}

export function loaded(state: State, { isolate, version, instances, failed }: Event<'loaded'>): void {
  const holding = holdingFor(state, isolate, version);
  if (!holding) return;
  if (instances > 0) freeInstances(state, holding, instances);
  dropRemoved(state, holding);
  if (failed > 0) removeInstances(state, holding, failed, 'busy');
  serve(state, holding.isolate);
}

export function taken(state: State, { isolate, version, count }: Event<'taken'>): void {
  state.rungs.taken += count;
  const holding = holdingFor(state, isolate, version);
  if (!holding) return;
  const { standing, tenant, state: isolateState } = holding.isolate;
  if (standing === 'standby' && tenant && isolateState === 'assigned') activate(state, holding.isolate, tenant);
  takeIdle(state, holding, count);
}

export function released(state: State, { isolate, version, execution, kept, count = 1 }: Event<'released'>): void {
  state.releases.add(state.nowMs, count);
  if (execution !== undefined) forgetPlaced(state, execution);
  const holding = holdingFor(state, isolate, version);
  if (!holding) return;
  if (kept) {
    freeInstances(state, holding, count);
    dropRemoved(state, holding);
  } else removeInstances(state, holding, count, 'busy');
  serve(state, holding.isolate);
}

export function dropRefused(state: State, event: Event<'drop-refused'>): void {
  const isolate = state.isolates.get(event.isolate);
  const version = state.versions.get(event.version) ?? state.retired.get(event.version);
  if (!isolate || !version || isolate.tenant !== version.tenant) return;
  restoreInstance(state, isolate, version);
}
