import { reindex } from './capacity.ts';
import type { PlacementEvent } from './model.ts';
import { dropOldest } from './place.ts';
import type { Isolate, State, Version } from './state.ts';

/** What is counted beside twice the peak: what an instance takes outside of its linear memory. */
const BESIDE_MIB = 4;
/** Steps in which a version is charged more: a step touches all isolates that hold it. */
const STEP_MIB = 4;

/** What an instance counts of an isolate's memory, once one was measured: twice its peak and some more, at most its limit. */
export const chargeOf = (limitMib: number, peakMib: number): number => Math.min(limitMib, STEP_MIB * Math.ceil((2 * peakMib + BESIDE_MIB) / STEP_MIB));

/** More than it has is counted in it: idle instances go until that is not so, or none is left. */
function shed(state: State, isolate: Isolate, version: Version): void {
  const { memoryMib } = isolate.pool.configuration;
  while (isolate.memoryMib > memoryMib && dropOldest(state, isolate, `${version.spec.version} takes more than was measured before`));
}

function charge(state: State, version: Version, chargeMib: number): void {
  const more = chargeMib - version.chargeMib;
  version.chargeMib = chargeMib;
  for (const [isolate, { instances, idle }] of [...version.holders]) {
    isolate.memoryMib += instances * more;
    isolate.busyMib += (instances - idle) * more;
    if (more > 0) shed(state, isolate, version);
    reindex(state, isolate);
  }
  // What waits for room may have it now.
  if (more < 0 && version.tenant.waiting > 0) state.dirty.add(version.tenant);
}

/** An execution took more memory than any of its version before. */
export function measured(state: State, { version: name, peakMib }: Extract<PlacementEvent, { type: 'measured' }>): void {
  const version = state.versions.get(name) ?? state.retired.get(name);
  if (!version || peakMib <= version.peakMib) return;
  version.peakMib = peakMib;
  const chargeMib = chargeOf(version.spec.memoryMib, peakMib);
  if (chargeMib !== version.chargeMib) charge(state, version, chargeMib);
}
