/**
 * Sidecars that a request asks for by header, in this thread: the supervisor says whether it may, and how the function is
 * linked with them.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { type ErrorCode, Problem } from '../base/errors.ts';
import type { DeployedVersion } from '../deploy/route-table.ts';
import type { FunctionExecutor } from '../execution/executor.ts';
import type { LentExecutors } from './lent.ts';

/** To the supervisor; answered by `debug-linked` or `debug-refused`. */
export type DebugFromGateway = { kind: 'debug-wanted'; request: number; key: string; use: string; token: string };
/** From the supervisor: a version of a function that is linked with what was asked for. */
export type DebugToGateway =
  | { kind: 'debug-linked'; request: number; version: DeployedVersion }
  | { kind: 'debug-refused'; request: number; code: ErrorCode; message: string };

export type DebuggingOptions = { post: (message: DebugFromGateway) => void; lent: LentExecutors };

export class Debugging {
  readonly #options: DebuggingOptions;
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
    return this.#options.lent.executorOf(await promise);
  }

  take(message: DebugToGateway): void {
    const waiting = this.#waiting.get(message.request);
    this.#waiting.delete(message.request);
    if (message.kind === 'debug-linked') waiting?.resolve(message.version);
    else waiting?.reject(new Problem(message.code, message.message));
  }
}
