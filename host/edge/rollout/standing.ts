import { type Labels, matchesLabels } from '../../base/labels.ts';
import type { FunctionRecord } from '../../deploy/model.ts';
import type { DeployedVersion } from '../../deploy/route-table.ts';
import { scanAll } from '../../deploy/scan.ts';
import type { Serving } from '../../deploy/snapshot.ts';
import { addHealth, emptyHealth, type VersionHealth } from '../../execution/health.ts';
import type { Table } from '../../store/table.ts';
import { type Choice, choose } from './choice.ts';
import { type ServedReport, sparse, type TakenBack } from './report.ts';
import { addToWindow, emptyWindow, isFailing, type TrialRules, type Window } from './trial.ts';

const trialPrefix = '~node/trial/';
/** Of one function: versions that were taken back, and the last that has stood the test. */
type TrialRecord = { tenant: string; function: string; kept: number; takenBack: TakenBack[] };
const takenBackKept = 8;
/** A report has to fit into a request: of each kind the latest. */
const reportedMax = 256;

export type StandingOptions = {
  table: Table;
  labels: Labels;
  rules: TrialRules;
  /** A version was taken back: what is served must be found anew. */
  onTakeBack: (taken: TakenBack, fallback: number) => void;
  onError: (error: unknown) => void;
  now?: () => number;
};

/** What is known of a function as it is served here. `before`: how the last requests of the version before it went. */
type Course = { choice: Choice; since: number; health: VersionHealth; window: Window; before: Window };

const keyOf = (tenant: string, name: string): string => `${tenant}/${name}`;

/**
 * What an edge serves of what it was told, by its labels, the stage of rollouts, and by what failed here. Begins with `open`;
 * the id is set when the edge has one. It asks nobody, so it does the same while the edge is cut off.
 */
export class Standing implements Serving {
  id = '';
  /** Whether the version before is served meanwhile: the components of this one are on their way. */
  isAwaited: (tenant: string, name: string, version: number) => boolean = () => false;
  readonly #options: StandingOptions;
  readonly #trials = new Map<string, TrialRecord>();
  readonly #courses = new Map<string, Course>();

  constructor(options: StandingOptions) {
    this.#options = options;
  }

  get labels(): Labels {
    return this.#options.labels;
  }

  async open(): Promise<void> {
    for await (const { value } of scanAll<TrialRecord>(this.#options.table, trialPrefix)) this.#trials.set(keyOf(value.tenant, value.function), value);
  }

  targets(tenant: string, record: FunctionRecord): FunctionRecord['live'] {
    const key = keyOf(tenant, record.name);
    const trial = this.#trials.get(key);
    const isTakenBack = (adoption: number): boolean => trial?.takenBack.some((taken) => taken.adoption === adoption) ?? false;
    const choice = choose(tenant, record, { id: this.id, labels: this.labels }, isTakenBack, (version) => this.isAwaited(tenant, record.name, version));
    if (!choice) return [];
    const known = this.#courses.get(key);
    if (known && known.choice.version === choice.version && known.choice.adoption === choice.adoption) known.choice = choice;
    else
      this.#courses.set(key, {
        choice,
        since: this.#now(),
        health: emptyHealth(),
        window: emptyWindow(),
        before: known && known.choice.version === choice.fallback ? known.window : emptyWindow(),
      });
    return [{ version: choice.version, weight: 100 }];
  }

  accepts({ edges }: DeployedVersion): boolean {
    return edges === undefined || matchesLabels(this.labels, edges);
  }

  /** How executions of a version went. */
  observe({ tenant, function: name, version }: Pick<DeployedVersion, 'tenant' | 'function' | 'version'>, health: VersionHealth): void {
    const course = this.#courses.get(keyOf(tenant, name));
    if (!course || course.choice.version !== version) return;
    addHealth(course.health, health);
    addToWindow(course.window, health, this.#options.rules.of);
    const { adoption, fallback } = course.choice;
    if (adoption === undefined || fallback === undefined || this.#trials.get(keyOf(tenant, name))?.kept === adoption) return;
    const { rules } = this.#options;
    if (isFailing(course.window, rules)) {
      // Where the version before failed as well, to go back to it helps nobody.
      if (!isFailing(course.before, rules)) this.#takeBack({ tenant, function: name, version, adoption, ...sumOf(course.window), at: this.#now() }, fallback);
    } else if (course.health.requests >= rules.of && this.#now() - course.since >= rules.trialMs) this.#write(tenant, name, { kept: adoption });
  }

  /** Functions that are being rolled out, and how they go here. */
  served(): ServedReport[] {
    const rolling = [...this.#courses].filter(([, { choice }]) => choice.rolling).slice(-reportedMax);
    return rolling.map(([key, { choice, health }]) => {
      const at = key.indexOf('/');
      const { requests, failures, latency } = health;
      const { version, adoption = 0 } = choice;
      return { tenant: key.slice(0, at), function: key.slice(at + 1), version, adoption, requests, failures, latency: sparse(latency) };
    });
  }

  /** What was taken back of functions that are there, the latest last. */
  takenBack(): TakenBack[] {
    const all = [...this.#courses.keys()].flatMap((key) => this.#trials.get(key)?.takenBack ?? []);
    return all.sort((a, b) => a.at - b.at).slice(-reportedMax);
  }

  /** The function is gone. */
  forget(tenant: string, name: string): void {
    const key = keyOf(tenant, name);
    this.#courses.delete(key);
    if (this.#trials.delete(key)) void this.#commit([{ key: trialPrefix + key, delete: true }]);
  }

  #takeBack(taken: TakenBack, fallback: number): void {
    const known = this.#trials.get(keyOf(taken.tenant, taken.function))?.takenBack ?? [];
    this.#write(taken.tenant, taken.function, { takenBack: [...known, taken].slice(-takenBackKept) });
    this.#options.onTakeBack(taken, fallback);
  }

  #write(tenant: string, name: string, change: Partial<TrialRecord>): void {
    const key = keyOf(tenant, name);
    const record: TrialRecord = { kept: 0, takenBack: [], ...this.#trials.get(key), tenant, function: name, ...change };
    this.#trials.set(key, record);
    void this.#commit([{ key: trialPrefix + key, put: record }]);
  }

  /** What is not written is forgotten by a restart, and found out again. */
  async #commit(writes: Parameters<Table['commit']>[0]): Promise<void> {
    try {
      await this.#options.table.commit(writes);
    } catch (error) {
      this.#options.onError(error);
    }
  }

  #now(): number {
    return (this.#options.now ?? Date.now)();
  }
}

const sumOf = ({ requests, failures }: Window): { requests: number; failures: number } => ({ requests, failures });
