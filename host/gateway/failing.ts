/**
 * Requests of functions with `onFailure`, in this thread: what comes of their bodies is kept beside the guest, so that one
 * that fails can be told to the supervisor whole. A copy begins with the request; it ends with the execution, or with the
 * end of the body if the guest had not read all of it.
 */
import type { IncomingMessage } from 'node:http';
import type { Problem } from '../base/errors.ts';
import type { DeployedVersion } from '../deploy/route-table.ts';
import type { Execution } from '../execution/execution.ts';
import { type FailedRequest, isKept } from '../execution/failed-request.ts';
import type { FailureFromGateway } from '../fleet/failure-protocol.ts';
import type { GuestRequest, HeaderList } from '../wasi/context.ts';
import { HttpExchange } from './exchange.ts';
import { linesOf } from './headers.ts';
import type { RequestBody } from './request-body.ts';

/** How long the answer to a failed request waits for the rest of its body. */
const restMs = 5000;
/** Bytes of bodies that are kept at once. */
const copiedBytesMax = 128 * 1024 * 1024;

type Cause = Pick<FailedRequest, 'code' | 'message'>;

/** `body`: undefined if it did not come as a whole. */
type FailureListener = (execution: Execution, cause: Cause, body: Uint8Array | null | undefined) => void;

const timeOriginMs = performance.timeOrigin;

/** Why a request failed; undefined if it did not. */
const causeOf = (problem: Problem | undefined, status: number): Cause | undefined => {
  // A body that is too large is not here, and its client is told what would fit.
  if (problem) return isKept(problem.code) && problem.code !== 'body-too-large' ? { code: problem.code, message: problem.message } : undefined;
  return status >= 500 ? { code: 'event-failed', message: `the guest answered with status ${status}` } : undefined;
};

/** The bytes of a body as they arrive. Reads only what somebody else reads, until `finish`. */
class BodyCopy {
  readonly #incoming: IncomingMessage;
  readonly #bytesMax: number;
  readonly #total: { bytes: number };
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #started = false;
  #given = false;

  constructor(incoming: IncomingMessage, bytesMax: number, total: { bytes: number }) {
    this.#incoming = incoming;
    this.#bytesMax = bytesMax;
    this.#total = total;
  }

  /** To be called before anybody reads. */
  readonly start = (): void => {
    if (this.#started || this.#given) return;
    this.#started = true;
    this.#incoming.on('data', this.#take);
  };

  readonly #take = (chunk: Uint8Array): void => {
    if (this.#given) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    this.#total.bytes += chunk.length;
    if (this.#bytes > this.#bytesMax || (this.#total.bytes > copiedBytesMax && this.#total.bytes > this.#bytes)) this.drop();
  };

  /** Calls back with the whole body, read to its end; undefined if there is no room, or the client did not send all of it. */
  finish(body: RequestBody, done: (whole: Uint8Array | undefined) => void): void {
    const end = (): void => {
      const whole = this.#given || !this.#incoming.complete ? undefined : Buffer.concat(this.#chunks);
      this.drop();
      done(whole);
    };
    if (this.#given || this.#incoming.readableEnded || this.#incoming.destroyed) {
      end();
      return;
    }
    this.start();
    // Its guest does not read any more, and would make the client wait.
    body.cancel();
    let timer: NodeJS.Timeout | undefined = setTimeout(() => once(), restMs);
    const once = (): void => {
      if (!timer) return;
      clearTimeout(timer);
      timer = undefined;
      end();
    };
    this.#incoming.once('end', once);
    this.#incoming.once('close', once);
  }

  drop(): void {
    this.#given = true;
    this.#incoming.off('data', this.#take);
    this.#total.bytes -= this.#bytes;
    this.#bytes = 0;
    this.#chunks = [];
  }
}

/** An exchange that tells how it ended, when it knows what its client has sent. */
class FailingExchange extends HttpExchange {
  readonly #copy: BodyCopy | undefined;
  readonly #body: RequestBody | null;
  readonly #begin: (() => void) | undefined;
  readonly #failed: FailureListener;
  #accepted: Execution | undefined;

  /** @param begin has the body read that no guest has asked for yet */
  constructor(args: ConstructorParameters<typeof HttpExchange>, copy: BodyCopy | undefined, begin: (() => void) | undefined, failed: FailureListener) {
    super(...args);
    this.#body = args[3];
    this.#copy = copy;
    this.#begin = begin;
    this.#failed = failed;
  }

  override accept(execution: Execution): void {
    this.#accepted = execution;
    super.accept(execution);
  }

  override finish(trailers?: HeaderList): void {
    // What comes of a body that nobody reads is thrown away when the response is whole.
    if (this.status >= 500) this.#begin?.();
    super.finish(trailers);
  }

  override end(problem: Problem | undefined): void {
    const execution = this.#accepted;
    const cause = causeOf(problem, this.status);
    if (!execution || !cause) {
      this.#copy?.drop();
      super.end(problem);
    } else if (!this.#copy || !this.#body) {
      this.#failed(execution, cause, null);
      super.end(problem);
    } else {
      // With the answer the connection may end: the rest of the body has to come first.
      this.#copy.finish(this.#body, (body) => {
        this.#failed(execution, cause, body);
        super.end(problem);
      });
    }
  }
}

export class Failing {
  readonly #post: (message: FailureFromGateway) => void;
  readonly #flushLogs: () => void;
  readonly #total = { bytes: 0 };

  constructor(post: (message: FailureFromGateway) => void, flushLogs: () => void) {
    this.#post = post;
    this.#flushLogs = flushLogs;
  }

  copy(incoming: IncomingMessage, bytesMax: number): BodyCopy {
    return new BodyCopy(incoming, bytesMax, this.#total);
  }

  /** @param begin has a body read that no guest has asked for; undefined if its client would have to be asked for it first */
  exchange(
    version: DeployedVersion,
    args: ConstructorParameters<typeof HttpExchange>,
    copy: BodyCopy | undefined,
    begin: (() => void) | undefined,
  ): HttpExchange {
    const [, , request] = args;
    return new FailingExchange(args, copy, begin, (execution, cause, body) => this.#tell(version, execution, request, body, cause));
  }

  #tell(version: DeployedVersion, execution: Execution, request: GuestRequest, body: Uint8Array | null | undefined, { code, message }: Cause): void {
    const { tenant, function: name } = version;
    if (body === undefined) {
      this.#post({ kind: 'failure-lost', tenant, function: name, execution: execution.id, reason: 'its body was not there as a whole' });
      return;
    }
    const { method, authority, pathWithQuery } = request;
    const headers = linesOf(request.headers);
    const startedAt = Math.round(timeOriginMs + execution.arrivedMs);
    const stored = { id: execution.id, tenant, function: name, arrivedAt: startedAt, method, authority, pathWithQuery, headers, body };
    const attempt = { attempt: 1, startedAt, endedAt: Math.round(timeOriginMs + performance.now()), code, message };
    const failed: FailedRequest = { request: stored, version: version.version, code, message, attempts: [attempt], guarantee: null };
    // What the node notes of its end is logged after this.
    setImmediate(() => {
      this.#flushLogs();
      this.#post({ kind: 'request-failed', failed });
    });
  }
}
