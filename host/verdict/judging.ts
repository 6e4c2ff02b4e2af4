/**
 * Judges attempts: built-in verdicts first, then the function that `onResult` or `onFailure` names. What goes wrong with
 * that is a judgement too: the default policy goes on, and the reason says why.
 */
import type { PlacementDecision } from '../placement/model.ts';
import { doubledMemory, Rollbacks, ranOutOfMemory } from './built-in.ts';
import {
  type Ceilings,
  type Change,
  type Judge,
  type Judgeable,
  type Judged,
  type Judgement,
  type Limits,
  type OtherLimits,
  payloadBytesMax,
  type Settings,
  type Subject,
} from './model.ts';
import { type FailureRecord, failureRecord } from './record.ts';
import { ruleFor } from './rules.ts';
import { bytesOf, parseVerdict, type Verdict } from './schema.ts';

/** Who changed what of a function, and why. */
export type ChangeNote = { by: string; reason: string; execution: string };

/** What a control function answered; `problem`: why there is no answer. */
export type Asked = { execution?: string; body: Uint8Array } | { execution?: string; problem: string };

export type JudgingOptions = {
  ceilings: Limits;
  /** Calls a control function; `hops`: events that led to what it is to judge. Never rejects. */
  ask: (tenant: string, name: string, record: FailureRecord, hops: number) => Promise<Asked>;
  hasVersion: (tenant: string, name: string, version: number) => Promise<boolean>;
  /** Sets live what was live before `from`, unless another version is live by now. Resolves with the version that is live. @throws Problem */
  rollback: (tenant: string, name: string, from: number, note: ChangeNote) => Promise<number>;
  /** Whether a version may still be taken back for its first failures. @throws Problem */
  isNew: (tenant: string, name: string, version: number) => Promise<boolean>;
  /** Writes down that it may not. @throws Problem */
  prove: (tenant: string, name: string, version: number) => Promise<void>;
  /** Changes a version for the requests to come. @throws Problem */
  adjust: (tenant: string, name: string, version: number, settings: Settings, note: ChangeNote) => Promise<void>;
  decide: (decision: PlacementDecision) => void;
  warn: (details: object, message: string) => void;
  now: () => number;
};

/** Attempts at one execution, also where somebody judges that there are to be more. */
const attemptsMax = 20;
const unitOf = { memoryMib: 'MiB', cpuMs: 'ms', timeMs: 'ms' } as const;

type Bounds = { node: Limits; ceilings: Ceilings };

/** Lowers what is above a ceiling, and says so with both numbers. */
const clipped = (asked: OtherLimits | undefined, { node, ceilings }: Bounds, notes: string[]): OtherLimits | undefined => {
  if (!asked) return undefined;
  const entries = Object.entries(asked) as [keyof Limits, number | undefined][];
  return Object.fromEntries(
    entries.map(([key, value]) => {
      const most = ceilings[key];
      if (value === undefined || value <= most) return [key, value];
      const where = most < node[key] ? 'for a function of this tenant' : 'on this node';
      notes.push(`${key} lowered to ${most} ${unitOf[key]}, the most ${where}: ${value} was asked for`);
      return [key, most];
    }),
  );
};

/** The bytes of a body; undefined: it is larger than an event may be, `notes` say so. */
const fitting = (what: string, payload: Parameters<typeof bytesOf>[0], notes: string[]): Buffer | undefined => {
  const bytes = bytesOf(payload);
  if (bytes.length <= payloadBytesMax) return bytes;
  notes.push(`the ${what} is not taken: it has at most ${payloadBytesMax} bytes, got ${bytes.length}`);
  return undefined;
};

/** Only tenants bound it. */
const clippedPrewarm = ({ prewarm, ...settings }: Settings, { ceilings: { prewarm: most = Number.POSITIVE_INFINITY } }: Bounds, notes: string[]): Settings => {
  if (prewarm === undefined) return settings;
  if (prewarm > most) notes.push(`prewarm lowered to ${most}, the most for a function of this tenant: ${prewarm} was asked for`);
  return { ...settings, prewarm: Math.min(prewarm, most) };
};

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const isBuiltIn = (judged: Judged): boolean => judged.execution === undefined;

export class Judging {
  readonly #options: JudgingOptions;
  readonly #rollbacks: Rollbacks;

  constructor(options: JudgingOptions) {
    this.#options = options;
    const { isNew, prove, warn } = options;
    this.#rollbacks = new Rollbacks({
      isNew,
      prove: (tenant, name, version) =>
        prove(tenant, name, version).catch((error: unknown) =>
          warn({ tenant, function: name, version, error: String(error) }, 'cannot write down that a version has proven itself'),
        ),
    });
  }

  /** Takes over which versions are live, by `tenant/function`. */
  keep(live: ReadonlyMap<string, readonly { version: number }[]>): void {
    this.#rollbacks.keep(live);
  }

  readonly judge: Judge = async (judgeable, subject) => {
    try {
      const judgement = (await this.#builtIn(judgeable, subject)) ?? (await this.#asked(judgeable, subject));
      if (judgement) this.#tell(judgeable, subject, judgement);
      return judgement;
    } catch (error) {
      this.#options.warn({ execution: subject.execution, error: String(error) }, 'cannot judge an attempt');
      return undefined;
    }
  };

  #bounds({ ceilings }: Judgeable): Bounds {
    const node = this.#options.ceilings;
    return { node, ceilings: ceilings ?? node };
  }

  async #builtIn(judgeable: Judgeable, subject: Subject): Promise<Judgement | undefined> {
    const verdict = judgeable.onFailure?.verdict;
    if (verdict === 'double-memory') return this.#double(judgeable, subject);
    if (verdict !== 'rollback' || subject.change.version !== undefined) return undefined;
    if (!(await this.#rollbacks.count(judgeable, subject))) return undefined;
    return this.#rolledBack(judgeable, subject, { verdict: 'rollback', by: 'rollback', reason: 'too many of its first executions failed' });
  }

  #double(judgeable: Judgeable, subject: Subject): Judgement | undefined {
    const memoryMib = doubledMemory(judgeable, subject, this.#bounds(judgeable).ceilings);
    if (memoryMib === undefined || subject.attempt >= attemptsMax) return undefined;
    const reason = `it ran out of ${judgeable.limits.memoryMib} MiB of memory; the next attempt has ${memoryMib} MiB`;
    const limits = { ...subject.change.limits, memoryMib };
    return { judged: { verdict: 'retry', by: 'double-memory', reason }, do: 'retry', change: { ...subject.change, limits } };
  }

  async #asked(judgeable: Judgeable, subject: Subject): Promise<Judgement | undefined> {
    const { onFailure, onResult, tenant } = judgeable;
    const failed = subject.error !== null || ranOutOfMemory(subject);
    const by = ruleFor(onResult, subject.response)?.control ?? (failed ? onFailure?.control : undefined);
    if (by === undefined) return undefined;
    const record = failureRecord(judgeable, subject, this.#bounds(judgeable).ceilings, await subject.log());
    const answer = await this.#options.ask(tenant, by, record, subject.hops);
    const execution = answer.execution === undefined ? {} : { execution: answer.execution };
    const parsed = 'problem' in answer ? answer : parseVerdict(answer.body);
    if ('problem' in parsed)
      return { judged: { verdict: 'default', by, reason: `"${by}" gave no verdict: ${parsed.problem}`.slice(0, 1000), ...execution }, do: 'default' };
    return this.#applied(judgeable, subject, parsed.verdict, { verdict: parsed.verdict.verdict, by, reason: parsed.verdict.reason, ...execution });
  }

  async #applied(judgeable: Judgeable, subject: Subject, verdict: Verdict, judged: Judged): Promise<Judgement> {
    const notes: string[] = [];
    await this.#adjust(judgeable, subject, verdict.settings, judged, notes);
    const noted = (): Judged => (notes.length === 0 ? judged : { ...judged, notes });
    switch (verdict.verdict) {
      case 'retry': {
        const change = await this.#changed(judgeable, subject, verdict, notes);
        return change ? { judged: noted(), do: 'retry', change } : { judged: { ...noted(), verdict: 'default' }, do: 'default' };
      }
      case 'rollback': {
        const judgement = await this.#rolledBack(judgeable, subject, judged);
        return { ...judgement, judged: { ...judgement.judged, ...(notes.length > 0 && { notes: [...(judgement.judged.notes ?? []), ...notes] }) } };
      }
      case 'complete': {
        const { status = 200, headers = {}, ...payload } = verdict.result ?? {};
        const body = fitting('result', payload, notes);
        if (!body) return { judged: { ...noted(), verdict: 'default' }, do: 'default' };
        return { judged: noted(), do: 'complete', result: { status, headers: Object.entries(headers), body } };
      }
      default:
        return { judged: noted(), do: verdict.verdict };
    }
  }

  /** Undefined: there is not to be another attempt, `notes` say why. */
  async #changed(judgeable: Judgeable, { change, attempt }: Subject, verdict: Verdict, notes: string[]): Promise<Change | undefined> {
    const { tenant, function: name } = judgeable;
    const { version = change.version, input } = verdict;
    if (attempt >= attemptsMax) {
      notes.push(`no other attempt: there have been ${attempt}, and at most ${attemptsMax} are made`);
      return undefined;
    }
    if (verdict.version !== undefined && !(await this.#options.hasVersion(tenant, name, verdict.version))) {
      notes.push(`no attempt with version ${verdict.version}: there is none`);
      return undefined;
    }
    const body = input && fitting('input', input, notes);
    if (input && !body) return undefined;
    const limits = clipped(verdict.limits, this.#bounds(judgeable), notes);
    return {
      ...(version === undefined ? {} : { version }),
      ...(limits || change.limits ? { limits: { ...change.limits, ...limits } } : {}),
      ...(input && body ? { input: { body: body.toString('base64'), contentType: input.contentType } } : change.input ? { input: change.input } : {}),
    };
  }

  async #rolledBack({ tenant, function: name, version }: Judgeable, { execution, change, attempt }: Subject, judged: Judged): Promise<Judgement> {
    const from = change.version ?? version;
    try {
      const live = await this.#options.rollback(tenant, name, from, { by: judged.by, reason: judged.reason, execution });
      const notes = [live === from ? `version ${live} is live` : `version ${live} is live in place of ${from}`];
      if (attempt >= attemptsMax) return { judged: { ...judged, notes }, do: 'default' };
      const { version: _, ...kept } = change;
      return { judged: { ...judged, notes }, do: 'retry', change: kept };
    } catch (error) {
      return { judged: { ...judged, verdict: 'default', notes: [messageOf(error)] }, do: 'default' };
    }
  }

  async #adjust(judgeable: Judgeable, subject: Subject, settings: Settings | undefined, { by, reason }: Judged, notes: string[]): Promise<void> {
    if (!settings) return;
    const { tenant, function: name, version } = judgeable;
    const bounds = this.#bounds(judgeable);
    const wanted = clippedPrewarm({ ...settings, limits: clipped(settings.limits, bounds, notes) }, bounds, notes);
    try {
      await this.#options.adjust(tenant, name, subject.change.version ?? version, wanted, { by, reason, execution: subject.execution });
    } catch (error) {
      notes.push(messageOf(error));
    }
  }

  #tell({ tenant, function: name, version }: Judgeable, { execution, attempt, error, response, change }: Subject, judgement: Judgement): void {
    const { judged } = judgement;
    const next = judgement.do === 'retry' ? judgement.change : {};
    this.#options.decide({
      at: this.#options.now(),
      kind: 'control',
      subject: execution,
      tenant,
      choice: judged.verdict,
      inputs: {
        function: `${name}@${change.version ?? version}`,
        attempt,
        code: error?.code ?? `status ${response?.status}`,
        by: judged.by,
        ...(isBuiltIn(judged) ? {} : { controlExecution: judged.execution ?? null }),
        reason: judged.reason,
        ...(next.version === undefined ? {} : { version: next.version }),
        ...(next.limits && { limits: JSON.stringify(next.limits) }),
        ...(next.input ? { input: 'another' } : {}),
        ...(judged.notes ? { notes: judged.notes.join('; ') } : {}),
      },
      passedOver: [],
    });
    if (judged.verdict === 'default' || judged.notes) this.#options.warn({ tenant, function: name, execution, attempt, judged }, 'an attempt was judged');
  }
}
