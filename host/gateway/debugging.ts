/**
 * Sidecars that a request asks for by header, in this thread: the supervisor says whether it may, and how the function is
 * linked with them. What is made for that is kept while it is asked for, and dropped a minute later.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { type ErrorCode, Problem } from '../base/errors.ts';
import type { DeployedVersion } from '../deploy/route-table.ts';
import type { FunctionExecutor } from '../execution/executor.ts';

/** To the supervisor; answered by `debug-linked` or `debug-refused`. */
export type DebugFromGateway = { kind: 'debug-wanted'; request: number; key: string; use: string; token: string };
/** From the supervisor: a version of a function that is linked with what was asked for. */
export type DebugToGateway =
  | { kind: 'debug-linked'; request: number; version: DeployedVersion }
  | { kind: 'debug-refused'; request: number; code: ErrorCode; message: string };

export type DebuggingOptions = { post: (message: DebugFromGateway) => void; makeExecutor: (version: DeployedVersion) => FunctionExecutor };

const idleMs = 60_000;

type Kept = { executor: FunctionExecutor; usedMs: number };

export class Debugging {
  readonly #options: DebuggingOptions;
  readonly #kept = new Map<string, Kept>();
  readonly #waiting = new Map<number, { resolve: (version: DeployedVersion) => void; reject: (problem: Problem) => void }>();
  #requests = 0;

  constructor(options: DebuggingOptions) {
    this.#options = options;
  }

  /** Whether a request asks for sidecars. */
  wanted(headers: IncomingHttpHeaders): boolean {
    return headers['nacelle-debug'] !== undefined;
  }

  /** Who runs a request that asks for sidecars. @throws Problem `debug-refused`, `sidecar-not-found`, `sidecar-invalid` */
  async executorOf(key: string, headers: IncomingHttpHeaders): Promise<FunctionExecutor> {
    const { promise, resolve, reject } = Promise.withResolvers<DeployedVersion>();
    const request = ++this.#requests;
    this.#waiting.set(request, { resolve, reject });
    this.#options.post({ kind: 'debug-wanted', request, key, use: String(headers['nacelle-debug']), token: String(headers['nacelle-debug-token'] ?? '') });
    const version = await promise;
    const kept = this.#kept.get(version.key) ?? { executor: this.#options.makeExecutor(version), usedMs: 0 };
    kept.usedMs = performance.now();
    this.#kept.set(version.key, kept);
    return kept.executor;
  }

  take(message: DebugToGateway): void {
    const waiting = this.#waiting.get(message.request);
    this.#waiting.delete(message.request);
    if (message.kind === 'debug-linked') waiting?.resolve(message.version);
    else waiting?.reject(new Problem(message.code, message.message));
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
