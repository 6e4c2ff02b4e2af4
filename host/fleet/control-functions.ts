/**
 * Calls control functions and does what they say: the port of `Judging` to the functions, limits and live pointers of a
 * node. What changes deployments needs `deployments`, which comes when they are open; before that it is refused.
 */
import { type ErrorCode, Problem } from '../base/errors.ts';
import type { EffectWriter } from '../capability/effect-writer.ts';
import type { JudgedVersions } from '../deploy/judged-versions.ts';
import type { DeployedVersion } from '../deploy/route-table.ts';
import { runUntilCommitted } from '../execution/attempts.ts';
import { ExecutionIds, gatewayMax } from '../execution/id.ts';
import type { ExecutionRecord } from '../execution/record.ts';
import type { RunStored, StoredRequest } from '../execution/stored-run.ts';
import type { PlacementDecision } from '../placement/model.ts';
import { type Asked, Judging } from '../verdict/judging.ts';
import { type Change, controlsOf, type Judge, type Limits } from '../verdict/model.ts';
import type { FailureRecord } from '../verdict/record.ts';
import { variantOf } from './variants.ts';

export type ControlFunctionsOptions = {
  ceilings: Limits;
  live: (tenant: string, name: string) => { version: DeployedVersion } | { refused: ErrorCode };
  lend: (version: DeployedVersion) => void;
  run: RunStored;
  writer: Pick<EffectWriter, 'commit'>;
  /** What is judged holds locks until then. */
  holds?: { judge(judged: string, judge: string): { isBlocked(): boolean; end(): void } } | undefined;
  decide: (decision: PlacementDecision) => void;
  keep: (record: ExecutionRecord) => void;
  warn: (details: object, message: string) => void;
};

/** Somebody waits for the verdict, perhaps a client. */
const askedMsMax = 10_000;
const blocked = 'deadlock-victim: it waits for what the execution that it is to judge holds until it is judged';
const answerBytesMax = 1024 * 1024;

export class ControlFunctions {
  readonly #options: ControlFunctionsOptions;
  readonly #ids = new ExecutionIds(gatewayMax);
  readonly #judging: Judging;
  deployments: JudgedVersions | undefined = undefined;

  constructor(options: ControlFunctionsOptions) {
    this.#options = options;
    const { ceilings, decide, warn } = options;
    this.#judging = new Judging({
      ceilings,
      decide,
      warn,
      now: Date.now,
      ask: (...asked) => this.#ask(...asked),
      hasVersion: (...asked) => this.#open().hasVersion(...asked),
      rollback: (...asked) => this.#open().rollback(...asked),
      isNew: async (...asked) => this.#open().isNew(...asked),
      prove: async (...asked) => this.#open().prove(...asked),
      adjust: (...asked) => this.#open().adjust(...asked),
    });
  }

  get judge(): Judge {
    return this.#judging.judge;
  }

  /** Takes over which versions are live, by `tenant/function`. */
  keep(live: ReadonlyMap<string, readonly DeployedVersion[]>): void {
    this.#judging.keep(live);
  }

  /** The version that a change asks for, ready to be run by its key. @throws Problem `version-not-found`, `function-not-found`, `tenant-suspended` */
  variant(tenant: string, name: string, change: Pick<Change, 'version' | 'limits'>, wanted?: DeployedVersion): Promise<DeployedVersion> {
    const { live, lend } = this.#options;
    return variantOf({ live, lend, describe: (...asked) => this.#open().describe(...asked) }, tenant, name, change, wanted);
  }

  #open(): JudgedVersions {
    if (!this.deployments) throw new Problem('unavailable', 'the node is starting');
    return this.deployments;
  }

  async #ask(tenant: string, name: string, record: FailureRecord, hops: number): Promise<Asked> {
    const found = this.#options.live(tenant, name);
    if ('refused' in found) return { problem: found.refused === 'function-not-found' ? `there is no function "${name}"` : found.refused };
    const { version } = found;
    // Deployments refuse this; two changes that crossed on their way to an edge may still meet here.
    if (controlsOf(version).length > 0) return { problem: 'it has a control function itself' };
    const request = requestOf(this.#ids.next(Date.now()), tenant, name, record);
    const waiting = this.#options.holds?.judge(record.execution, request.id);
    try {
      const answer = await this.#run(version, request, hops, () => waiting?.isBlocked() === true);
      return { execution: request.id, ...answer, ...(waiting?.isBlocked() && 'problem' in answer && { problem: blocked }) };
    } catch (error) {
      return { problem: error instanceof Problem ? `${error.code}: ${error.message}` : String(error) };
    } finally {
      waiting?.end();
    }
  }

  /** The version with as much time as is left; a repeat has it in whole seconds, since each is a version of its own. */
  async #within(version: DeployedVersion, leftMs: number): Promise<{ key: string } | { refused: ErrorCode }> {
    if (version.limits.timeMs <= leftMs) return version;
    const timeMs = Math.floor(leftMs / 1000) * 1000;
    return timeMs <= 0 ? { refused: 'time-limit' } : this.variant(version.tenant, version.function, { limits: { timeMs } }, version);
  }

  /** What it does goes with the events that led to what it judges, so that a circle through it ends as one through events does. */
  async #run(found: DeployedVersion, request: StoredRequest, hops: number, stopped: () => boolean): Promise<Asked> {
    const { run, writer, keep } = this.#options;
    let endsAtMs: number | undefined;
    const end = await runUntilCommitted({
      function: request.function,
      version: () => {
        const now = performance.now();
        endsAtMs ??= now + askedMsMax;
        return this.#within(found, Math.round(endsAtMs - now));
      },
      stopped,
      run: (version, attempt) => run({ key: version, request, overlay: true, attempt, responseBytesMax: answerBytesMax }),
      commit: async (effects) => effects.effects.length > 0 && writer.commit({ ...effects, writes: [], hops }),
      retries: 0,
    });
    const record = (end.success ? end.success.end : end.last)?.record;
    if (record) keep(record);
    if (!end.success) return { problem: `${end.problem.code}: ${end.problem.message}` };
    const { status, body } = end.success.response;
    return status >= 200 && status < 300 ? { body } : { problem: `it answered with status ${status}` };
  }
}

const requestOf = (id: string, tenant: string, name: string, record: FailureRecord): StoredRequest => ({
  id,
  tenant,
  function: name,
  arrivedAt: performance.timeOrigin + performance.now(),
  method: 'POST',
  authority: 'control.nacelle.internal',
  pathWithQuery: '/',
  headers: [['content-type', 'application/json']],
  body: Buffer.from(JSON.stringify(record)),
});
