/** Which version makes each attempt at a request that waits for its answer, and who judges the attempt before anything is answered. */
import type { ErrorCode } from '../base/errors.ts';
import type { DeployedVersion } from '../deploy/route-table.ts';
import type { AttemptEnded, AttemptsOptions } from '../execution/attempts.ts';
import { type GuardedHead, wholeOf } from '../execution/guarantee.ts';
import type { LastLines } from '../telemetry/last-lines.ts';
import { isJudged, type Subject } from '../verdict/model.ts';
import type { ControlFunctions } from './control-functions.ts';

type Options = {
  versionOf: (tenant: string, name: string, wanted?: string) => { version: DeployedVersion } | { refused: ErrorCode };
  control: ControlFunctions;
  lastLines: LastLines;
};

/** Of most attempts little is asked, so the record and the request are only read then. */
const subjectOf = (head: GuardedHead, { attempt, before, change, end }: AttemptEnded, log: Subject['log']): Subject => ({
  execution: head.id,
  trigger: 'http',
  arrivedAt: head.arrivedAt,
  hops: 0,
  attempt,
  earlier: before,
  change,
  error: end.problem && { code: end.problem.code, message: end.problem.message },
  response: end.response,
  get meter() {
    return end.record?.meter ?? null;
  },
  get request() {
    const { method, pathWithQuery, headers, body } = wholeOf(head);
    return { method, pathWithQuery, headers, bytes: body?.length ?? 0 };
  },
  log,
});

export const judgedAttempts = (
  { versionOf, control, lastLines }: Options,
  head: GuardedHead,
  wanted: string | undefined,
): Pick<AttemptsOptions, 'version' | 'judge'> => {
  const { tenant, function: name } = head;
  let live: DeployedVersion | undefined;
  return {
    version: (change) => {
      const found = versionOf(tenant, name, wanted);
      if ('refused' in found) return found;
      live = found.version;
      return change.version === undefined && change.limits === undefined ? live : control.variant(tenant, name, change, live);
    },
    judge: async (ended) => {
      if (!live || !isJudged(live)) return undefined;
      return control.judge(
        live,
        subjectOf(head, ended, () => lastLines(tenant, name, head.id, ended.attempt)),
      );
    },
  };
};
