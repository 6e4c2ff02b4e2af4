import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { getRequestListener, type HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono } from 'hono';
import { Problem } from '../base/errors.ts';
import type { ObjectClient } from '../capability/object-client.ts';
import type { DeployedVersion, Route, RouteTable } from '../deploy/route-table.ts';
import type { FunctionExecutor } from '../execution/executor.ts';
import type { GuestRequest, HeaderList } from '../wasi/context.ts';
import { serveObject } from './bucket-exchange.ts';
import type { Debugging } from './debugging.ts';
import { type Deferring, keptBodyBytesMax } from './deferring.ts';
import { HttpExchange } from './exchange.ts';
import type { Failing } from './failing.ts';
import type { Guarding } from './guarding.ts';
import { guestHeaders } from './headers.ts';
import { hasKey } from './idempotency-key.ts';
import { RouteMatcher } from './matcher.ts';
import { hasBody, sendProblem } from './problem.ts';
import { RequestBody } from './request-body.ts';
import { hostOf, pathOf, type RequestTarget, readTarget, stripPrefix } from './target.ts';

const mib = 1024 * 1024;

/** A route as a thread serves it. */
type Served = { route: Route; pick: () => Candidate };
type Candidate = { executor: FunctionExecutor; version: DeployedVersion; failing: Failing | undefined; name: string; bodyBytesMax: number; bodyMib: number };

/** A request as its guest sees it; headers are made when the guest asks. */
class HttpGuestRequest implements GuestRequest {
  readonly method: string;
  readonly scheme = 'http';
  readonly authority: string;
  readonly pathWithQuery: string;
  readonly body: RequestBody | null;
  readonly #incoming: IncomingMessage;
  readonly #prefix: string;
  #headers: HeaderList | undefined;

  constructor(incoming: IncomingMessage, { authority, target }: RequestTarget, prefix: string, body: RequestBody | null) {
    this.method = incoming.method ?? 'GET';
    this.authority = authority;
    this.pathWithQuery = stripPrefix(target, prefix);
    this.body = body;
    this.#incoming = incoming;
    this.#prefix = prefix;
  }

  get headers(): HeaderList {
    this.#headers ??= guestHeaders(this.#incoming.rawHeaders, this.#incoming.headers.connection, this.#prefix);
    return this.#headers;
  }
}

const weightedPick = (targets: readonly { candidate: Candidate; weight: number }[]): (() => Candidate) => {
  const [first] = targets;
  if (!first) throw new Problem('internal', 'a route has no targets');
  if (targets.length === 1) return () => first.candidate;
  const total = targets.reduce((sum, { weight }) => sum + weight, 0);
  return () => {
    let point = Math.random() * total;
    for (const { candidate, weight } of targets) {
      if (point < weight) return candidate;
      point -= weight;
    }
    return first.candidate;
  };
};

/** Answers for one version of the route table; requests that it has begun stay with it when another takes over. */
export type GatewayApp = (incoming: IncomingMessage, outgoing: ServerResponse, expectsContinue: boolean) => void;

/** Everything that is not a function. Goes through Hono; functions do not, since its context costs as much as a small guest. */
const otherRequests = (): RequestListener => {
  const app = new Hono<{ Bindings: HttpBindings }>();
  app.notFound(({ env: { incoming, outgoing } }) => {
    sendProblem(
      incoming,
      outgoing,
      new Problem('function-not-found', `no function answers at ${incoming.headers.host ?? ''}${pathOf(incoming.url ?? '')}`.slice(0, 300)),
    );
    return RESPONSE_ALREADY_SENT;
  });
  return getRequestListener(app.fetch, { overrideGlobalObjects: false });
};

const bodyOf = (
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  bytesMax: number,
  expectsContinue: boolean,
  tooLarge: () => void,
  onWanted?: () => void,
): RequestBody | null => {
  if (!hasBody(incoming)) return null;
  if (!expectsContinue && !onWanted) return new RequestBody(incoming, { bytesMax, tooLarge });
  const wanted = (): void => {
    onWanted?.();
    if (expectsContinue) outgoing.writeContinue();
  };
  return new RequestBody(incoming, { bytesMax, tooLarge, wanted });
};

type Takers = { debugging?: Debugging; deferring?: Deferring; guarding?: Guarding; failing?: Failing; objects?: ObjectClient };

/**
 * Builds the application of a route table.
 * @param executorOf the executor of a version, by `DeployedVersion.key`
 * @param takers `debugging` links those that ask for a sidecar; `deferring` takes requests that may wait, `guarding` those that have a key, `failing` keeps those that fail; without them none may, or has; `objects` are those of public buckets
 */
export const createGatewayApp = (
  table: RouteTable,
  executorOf: (key: string) => FunctionExecutor | undefined,
  { debugging, deferring, guarding, failing, objects }: Takers = {},
): GatewayApp => {
  const matcher = new RouteMatcher<Served>();
  const versions = new Map(table.functions.map((version) => [version.key, version]));
  for (const route of table.routes) {
    const targets = route.targets.flatMap(({ key, weight }) => {
      const [version, executor] = [versions.get(key), executorOf(key)];
      return version && executor
        ? [
            {
              weight,
              candidate: {
                executor,
                version,
                failing: version.onFailure && failing,
                name: version.function,
                bodyMib: version.limits.bodyMib,
                bodyBytesMax: version.limits.bodyMib * mib,
              },
            },
          ]
        : [];
    });
    if (route.bucket !== undefined) matcher.add(route, { route, pick: noFunction });
    else if (targets.length > 0) matcher.add(route, { route, pick: weightedPick(targets) });
  }
  const others = otherRequests();
  return (incoming, outgoing, expectsContinue) => {
    const arrivedMs = performance.now();
    const target = readTarget(incoming);
    const served = target && matcher.find(hostOf(target.authority), pathOf(target.target));
    if (!target)
      sendProblem(incoming, outgoing, new Problem('request-invalid', 'cannot route the request: its target must be a path or an absolute URL, with one host'));
    else if (!served) others(incoming, outgoing);
    else if (served.route.suspended) sendProblem(incoming, outgoing, new Problem('tenant-suspended', 'cannot run the function: its tenant is suspended'));
    else if (served.route.bucket !== undefined) serveBucket(served.route, target, incoming, outgoing, objects);
    else {
      // What is made of the request is for the version that gets it to say: while one takes over from another, they may differ.
      const candidate = served.pick();
      if (debugging?.wanted(incoming.headers)) debug(debugging, candidate, served, target, incoming, outgoing, expectsContinue, arrivedMs);
      else if (guarding && isGuarded(candidate.version, incoming, deferring)) guard(guarding, candidate, served, target, incoming, outgoing, expectsContinue);
      else if (!deferring?.takes(incoming, candidate.version.deferMaxMs)) serve(candidate, served, target, incoming, outgoing, expectsContinue, arrivedMs);
      else defer(deferring, candidate, served, target, incoming, outgoing, expectsContinue);
    }
  };
};

/** Whether a request runs in an overlay. Whoever asks to be answered later is: such a request runs there as an event. */
const isGuarded = ({ guarantee, overlay, deferMaxMs }: DeployedVersion, incoming: IncomingMessage, deferring: Deferring | undefined): boolean =>
  (guarantee !== undefined && hasKey(incoming.headers)) || (overlay === true && !deferring?.takes(incoming, deferMaxMs));

const noFunction = (): never => {
  throw new Problem('internal', 'the route leads to no function');
};

const serveBucket = (route: Route, { target }: RequestTarget, incoming: IncomingMessage, outgoing: ServerResponse, objects: ObjectClient | undefined): void => {
  if (objects) serveObject(objects, route.bucket ?? '', stripPrefix(pathOf(target), route.stripPrefix), incoming, outgoing);
  else sendProblem(incoming, outgoing, new Problem('unavailable', 'cannot read objects here'));
};

const serve = (
  { executor, version, failing, name, bodyBytesMax, bodyMib }: Candidate,
  served: Served,
  target: RequestTarget,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  expectsContinue: boolean,
  arrivedMs: number,
): void => {
  const copy = failing && hasBody(incoming) ? failing.copy(incoming, bodyBytesMax) : undefined;
  const body = bodyOf(incoming, outgoing, bodyBytesMax, expectsContinue, () => execution.stop('body-too-large'), copy?.start);
  const request = new HttpGuestRequest(incoming, target, served.route.stripPrefix, body);
  const exchange =
    failing?.exchange(version, [incoming, outgoing, request, body], copy, body && !expectsContinue ? () => void body.readable() : undefined) ??
    new HttpExchange(incoming, outgoing, request, body);
  const length = incoming.headers['content-length'];
  if (length !== undefined && Number(length) > bodyBytesMax) {
    const message = `cannot take the body for "${name}": at most ${bodyMib} MiB (limits.bodyMib), got ${length} bytes`;
    executor.refuse(exchange, arrivedMs, new Problem('body-too-large', message));
    return;
  }
  const execution = executor.execute(exchange, arrivedMs);
};

/** Runs a request with the sidecars that it asks for. */
const debug = (
  debugging: Debugging,
  candidate: Candidate,
  served: Served,
  target: RequestTarget,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  expectsContinue: boolean,
  arrivedMs: number,
): void => {
  if (candidate.version.guarantee && hasKey(incoming.headers)) {
    const message = `cannot debug the request to "${candidate.name}": what is linked for one request has no guarantee; send it without a key`;
    sendProblem(incoming, outgoing, new Problem('request-invalid', message));
    return;
  }
  debugging.executorOf(candidate.version.key, incoming.headers).then(
    (executor) => {
      if (!outgoing.destroyed) serve({ ...candidate, executor }, served, target, incoming, outgoing, expectsContinue, arrivedMs);
    },
    (problem: Problem) => sendProblem(incoming, outgoing, problem),
  );
};

/** Takes a request whose execution is to take effect once, or as often as its function promises. */
const guard = (
  guarding: Guarding,
  { version, name, bodyBytesMax, bodyMib }: Candidate,
  served: Served,
  target: RequestTarget,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  expectsContinue: boolean,
): void => {
  const tooLarge = (): void =>
    sendProblem(incoming, outgoing, new Problem('body-too-large', `cannot take the body for "${name}": at most ${bodyMib} MiB (limits.bodyMib)`));
  if (Number(incoming.headers['content-length'] ?? 0) > bodyBytesMax) {
    tooLarge();
    return;
  }
  const body = bodyOf(incoming, outgoing, bodyBytesMax, expectsContinue, tooLarge);
  void guarding.guard(version, new HttpGuestRequest(incoming, target, served.route.stripPrefix, body), incoming, outgoing);
};

/** Keeps a request for a quiet time. */
const defer = (
  deferring: Deferring,
  { version, name, bodyBytesMax }: Candidate,
  served: Served,
  target: RequestTarget,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  expectsContinue: boolean,
): void => {
  const bytesMax = Math.min(bodyBytesMax, keptBodyBytesMax);
  const tooLarge = (): void =>
    sendProblem(incoming, outgoing, new Problem('body-too-large', `cannot keep the body for "${name}": at most ${bytesMax} bytes of a request that waits`));
  if (Number(incoming.headers['content-length'] ?? 0) > bytesMax) {
    tooLarge();
    return;
  }
  const body = bodyOf(incoming, outgoing, bytesMax, expectsContinue, tooLarge);
  void deferring.defer(version, new HttpGuestRequest(incoming, target, served.route.stripPrefix, body), incoming, outgoing);
};
