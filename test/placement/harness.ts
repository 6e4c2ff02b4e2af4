import { createPlacement } from '../../host/placement/core.ts';
import type { IsolateView, Placement, PlacementAction, PlacementConfig, PlacementEvent, Reservation, VersionSpec } from '../../host/placement/model.ts';

export const standard = { name: 'standard', memoryMib: 128, bindings: '0.2', floor: 0, ceiling: 4 };

const defaults: PlacementConfig = {
  max: 8,
  slots: 2,
  idleMs: 1000,
  instanceIdleMs: 500,
  whenFull: 'queue',
  queueMs: 300,
  configurations: [standard],
};

type Of<T extends PlacementAction['type']> = Extract<PlacementAction, { type: T }>;

/** A node whose clock and threads the test moves by hand. `all` keeps every action; isolates do not start before `warm` says so. */
export class Harness {
  readonly core: Placement;
  readonly all: PlacementAction[] = [];
  nowMs = 0;
  private requests = 0;

  constructor(config: Partial<PlacementConfig> = {}) {
    this.core = createPlacement({ ...defaults, ...config });
  }

  tell(event: PlacementEvent): PlacementAction[] {
    const actions = this.core.handle(event, this.nowMs);
    this.all.push(...actions);
    return actions;
  }

  add(version: string, spec: Partial<VersionSpec> = {}): string {
    const tenant = version.slice(0, version.indexOf('/'));
    this.tell({ type: 'version-added', spec: { version, tenant, memoryMib: 16, bindings: '0.2', whenExhausted: 'overflow', ...spec } });
    return version;
  }

  /** Reserves isolates of the standard configuration. */
  reserve(reservation: Partial<Reservation> & { tenants: readonly string[]; isolates: number }): PlacementAction[] {
    return this.tell({ type: 'reservation-set', reservation: { name: 'r', configuration: 'standard', versions: [], ...reservation } });
  }

  /** Sends a request; returns its answer: the action for its execution that came last. */
  ask(version: string): Of<'place'> | Of<'queue'> | Of<'reject'> {
    const execution = `x${++this.requests}`;
    this.tell({ type: 'request', execution, version });
    return this.answer(execution)!;
  }

  answer(execution: string): Of<'place'> | Of<'queue'> | Of<'reject'> | undefined {
    return this.all.findLast(
      (action): action is Of<'place'> | Of<'queue'> | Of<'reject'> =>
        ['place', 'queue', 'reject'].includes(action.type) && (action as Of<'place'>).execution === execution,
    );
  }

  /** Sends a request that must be placed. */
  placed(version: string): Of<'place'> {
    const answer = this.ask(version);
    if (answer.type !== 'place') throw new Error(`not placed: ${JSON.stringify(answer)}`);
    return answer;
  }

  end({ execution, isolate, version }: Of<'place'>, kept = true): PlacementAction[] {
    return this.tell({ type: 'released', execution, isolate, version, kept });
  }

  /** All isolates that start are warm, until none starts any more. */
  warm(): void {
    for (let warming = this.isolates('warming'); warming.length > 0; warming = this.isolates('warming'))
      for (const { id } of warming) this.tell({ type: 'isolate-warm', isolate: id });
  }

  /** What drains is drained and destroyed. */
  sweep(): void {
    for (const { id, inFlight } of this.isolates('draining')) {
      if (inFlight > 0) continue;
      this.tell({ type: 'isolate-drained', isolate: id });
      this.tell({ type: 'isolate-destroyed', isolate: id });
    }
  }

  /** Time goes on, with a tick each 50 ms. */
  pass(durationMs: number): PlacementAction[] {
    const from = this.all.length;
    for (const untilMs = this.nowMs + durationMs; this.nowMs < untilMs; ) {
      this.nowMs = Math.min(untilMs, this.nowMs + 50);
      this.tell({ type: 'tick' });
    }
    return this.all.slice(from);
  }

  isolates(state?: IsolateView['state']): IsolateView[] {
    return this.snapshot().isolates.filter((isolate) => !state || isolate.state === state);
  }

  snapshot() {
    return this.core.snapshot(this.nowMs);
  }

  /** Actions of a type so far. */
  of<T extends PlacementAction['type']>(type: T): Of<T>[] {
    return this.all.filter((action): action is Of<T> => action.type === type);
  }
}
