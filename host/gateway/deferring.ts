/** The gateway thread's side of executions whose clients do not wait, or that wait for a quiet time: takes their requests. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Problem } from '../base/errors.ts';
import type { DeployedVersion } from '../deploy/route-table.ts';
import type { ExecutionIds } from '../execution/id.ts';
import type { DeferralFromGateway, DeferralToGateway, LaterRequest } from '../fleet/deferral-protocol.ts';
import type { GuestRequest } from '../wasi/context.ts';
import { linesOf } from './headers.ts';
import { sendProblem } from './problem.ts';
import { readAll } from './read-all.ts';

/** Largest body of a request that is kept. */
export const keptBodyBytesMax = 512 * 1024;

export type DeferringOptions = {
  post: (message: DeferralFromGateway) => void;
  ids: ExecutionIds;
};

/** Whether a client does not want to wait (RFC 7240). */
export const prefersAsync = (prefer: string | string[] | undefined): boolean => /(^|,)\s*respond-async\s*($|[,;])/i.test(String(prefer ?? ''));

/** Until when an execution may wait, in milliseconds since 1970; null: it is not to wait, only its client. @throws Problem `request-invalid` */
const startByOf = ({ headers }: IncomingMessage, deferMaxMs: number): number | null => {
  const text = headers['nacelle-start-by'];
  if (typeof text !== 'string' || !prefersAsync(headers.prefer)) return deferMaxMs > 0 ? Date.now() + deferMaxMs : null;
  const startBy = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(startBy))
    throw new Problem('request-invalid', `cannot put the execution off: nacelle-start-by must be a time as in RFC 3339, got "${text.slice(0, 80)}"`);
  return startBy;
};

export class Deferring {
  readonly #options: DeferringOptions;
  readonly #waiting = new Map<string, (problem: Problem | undefined) => void>();

  constructor(options: DeferringOptions) {
    this.#options = options;
  }

  /** Whether a request is answered later: it says so itself, or its function does. */
  takes({ headers }: IncomingMessage, deferMaxMs: number): boolean {
    return deferMaxMs > 0 || (headers.prefer !== undefined && prefersAsync(headers.prefer));
  }

  /** Keeps the request and answers 202, or with a problem. */
  async defer(version: DeployedVersion, request: GuestRequest, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    try {
      const startBy = startByOf(incoming, version.deferMaxMs);
      const arrivedAt = Date.now();
      const id = this.#options.ids.next(arrivedAt);
      const { method, authority, pathWithQuery, headers } = request;
      const body = request.body ? Buffer.from(await readAll(request.body)).toString('base64') : null;
      const { tenant, function: name } = version;
      await this.#keep({
        id,
        tenant,
        function: name,
        version: version.version,
        arrivedAt,
        startBy,
        method,
        authority,
        pathWithQuery,
        headers: linesOf(headers),
        body,
      });
      outgoing.writeHead(202, { 'nacelle-execution': id, 'location': `/v1/executions/${id}/result`, 'content-length': 0, 'cache-control': 'no-store' });
      outgoing.end();
    } catch (error) {
      sendProblem(incoming, outgoing, error instanceof Problem ? error : new Problem('request-invalid', `cannot take the body: ${String(error)}`));
    }
  }

  #keep(request: LaterRequest): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(request.id, (problem) => (problem ? reject(problem) : resolve()));
      this.#options.post({ kind: 'defer', request });
    });
  }

  take({ id, problem }: DeferralToGateway): void {
    this.#waiting.get(id)?.(problem ? new Problem(problem.code, problem.message) : undefined);
    this.#waiting.delete(id);
  }
}
