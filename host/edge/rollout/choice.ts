import type { Labels } from '../../base/labels.ts';
import type { FunctionRecord } from '../../deploy/model.ts';
import { isStagedAt } from '../../deploy/rollout.ts';

/** A version that an edge may serve. `adoption`: which decision of the origin made it so; undefined: one of before. */
type Candidate = { version: number; adoption: number | undefined };

/** What an edge serves of a function. */
export type Choice = Candidate & {
  /** What it serves if that fails; undefined: there is nothing else. */
  fallback: number | undefined;
  /** The function is being rolled out, here or elsewhere. */
  rolling: boolean;
};

/**
 * Which version of a function an edge serves: the one on its way if the edge belongs to its stage, else what is live, else
 * what was live before; never one that was taken back here, and one whose component is awaited only if there is no other. It
 * needs nothing but the record, so it holds while the edge is cut off, and after whatever messages the record came by.
 */
export function choose(
  tenant: string,
  { name, live, history, adoption, staged }: FunctionRecord,
  edge: { id: string; labels: Labels },
  isTakenBack: (adoption: number) => boolean,
  isAwaited: (version: number) => boolean = () => false,
): Choice | undefined {
  const before = history.at(-1);
  const known: Candidate[] = [
    ...(staged && isStagedAt(staged, tenant, name, edge) ? [{ version: staged.version, adoption: staged.adoption }] : []),
    ...live.slice(0, 1).map(({ version }) => ({ version, adoption })),
    ...(before === undefined ? [] : [{ version: before, adoption: undefined }]),
  ];
  const here = known.filter(({ version }) => !isAwaited(version));
  const candidates = here.length > 0 ? here : known;
  const at = candidates.findIndex(
    (candidate, index) => index === candidates.length - 1 || candidate.adoption === undefined || !isTakenBack(candidate.adoption),
  );
  const chosen = candidates[at];
  return chosen && { ...chosen, fallback: candidates.slice(at + 1).find(({ version }) => version !== chosen.version)?.version, rolling: staged !== undefined };
}
