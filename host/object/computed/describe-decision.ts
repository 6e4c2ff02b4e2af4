import { bucketOf, tenantOf } from '../../capability/keyvalue-keys.ts';
import type { PlacementDecision } from '../../placement/model.ts';
import type { CostInput } from './cost.ts';
import type { ObjectDecision } from './knowledge.ts';

const amount = (cost: number | null): string => (cost === null ? 'unknown' : cost.toPrecision(3));

/** A change of mind about an object, as the decision log of the node has it. */
export const describeDecision = (id: string, key: string, decision: ObjectDecision, input: CostInput): PlacementDecision => {
  const { at, choice, nextRequestMs, costStore, costGenerate, basis } = decision;
  const other = choice === 'store' ? 'compute' : 'store';
  const unknown = nextRequestMs === null ? 'nothing is known of its requests' : 'no run was measured';
  const dearer = `costs ${amount(choice === 'store' ? costGenerate : costStore)}, not ${amount(choice === 'store' ? costStore : costGenerate)}`;
  return {
    at,
    kind: 'object',
    subject: `${bucketOf(id)}/${key}`,
    tenant: tenantOf(id),
    choice,
    inputs: {
      basis,
      nextRequestMs,
      costStore,
      costGenerate,
      bytes: input.bytes,
      stored: input.stored,
      sinceLastMs: input.sinceLastMs,
      runs: input.measured?.runs ?? 0,
      cpuMs: input.measured?.cpuMs ?? null,
    },
    passedOver: [{ candidate: other, reason: nextRequestMs === null || costGenerate === null ? unknown : dearer }],
  };
};
