/**
 * Executors of versions that no route table has: those that a request links with a sidecar for debugging, and those that
 * events are run with once more. Each is kept while it is asked for, and dropped a minute later.
 */
import type { DeployedVersion } from '../deploy/route-table.ts';
import type { FunctionExecutor } from '../execution/executor.ts';

const idleMs = 60_000;

type Kept = { executor: FunctionExecutor; usedMs: number };

export class LentExecutors {
  readonly #make: (version: DeployedVersion) => FunctionExecutor;
  readonly #kept = new Map<string, Kept>();

  constructor(make: (version: DeployedVersion) => FunctionExecutor) {
    this.#make = make;
  }

  executorOf(version: DeployedVersion): FunctionExecutor {
    const kept = this.#kept.get(version.key) ?? { executor: this.#make(version), usedMs: 0 };
    kept.usedMs = performance.now();
    this.#kept.set(version.key, kept);
    return kept.executor;
  }

  /** Ends what nobody asked for lately. */
  sweep(): void {
    for (const [key, { executor, usedMs }] of this.#kept) {
      if (performance.now() - usedMs < idleMs || executor.inFlight > 0) continue;
      executor.retire();
      this.#kept.delete(key);
    }
  }

  close(): void {
    for (const { executor } of this.#kept.values()) executor.retire();
    this.#kept.clear();
  }
}
