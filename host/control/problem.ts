import type { Context, Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { Problem } from '../base/errors.ts';
import type { ControlDeps } from './deps.ts';

const problemType = 'application/problem+json';
const retryAfterSeconds = '1';
const problemsMax = 100;

/** RFC 9457. */
export const problemResponse = (problem: Problem, headers: Record<string, string> = {}): Response => {
  const more: Record<string, string> =
    problem.status === 401 ? { 'www-authenticate': 'Bearer' } : problem.status === 503 ? { 'retry-after': retryAfterSeconds } : {};
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: { 'content-type': problemType, 'cache-control': 'no-store', ...more, ...headers },
  });
};

const asProblem = (error: Error): Problem | undefined => {
  if (error instanceof Problem) return error;
  if (error instanceof HTTPException && error.status < 500) return new Problem('request-invalid', `cannot read the request: ${error.message}`);
  return undefined;
};

/** Turns what a handler threw into a response. What is not a `Problem` is a defect: logged, and told to nobody else. */
export const errorHandler =
  (log: ControlDeps['log']) =>
  (error: Error, context: Context): Response => {
    const problem = asProblem(error);
    if (problem) return problemResponse(problem);
    if (context.req.raw.signal.aborted) return problemResponse(new Problem('client-gone', 'the client went away'));
    log.error({ err: error, method: context.req.method, path: context.req.path }, 'control request failed');
    return problemResponse(new Problem('internal', `cannot ${context.req.method} ${context.req.path.slice(0, 200)}: the node failed, its log says why`));
  };

type Issue = { path: readonly PropertyKey[]; message: string; code: string; keys?: readonly string[] };

const issueProblems = (target: string, { path, message, code, keys }: Issue): string[] => {
  const at = [target, ...path.map(String)].join('.');
  return code === 'unrecognized_keys'
    ? (keys ?? []).map((key) => `cannot take ${at}.${key.slice(0, 80)}: there is no such key`)
    : [`cannot take ${at}: ${message}`];
};

/** What zod-openapi calls with the outcome of each validation. */
export const validationHook = (result: { target: string; success: boolean; error?: { issues: readonly unknown[] } }): Response | undefined => {
  if (result.success) return undefined;
  const target = result.target === 'json' ? 'body' : result.target;
  const problems = (result.error?.issues ?? []).flatMap((issue) => issueProblems(target, issue as Issue)).slice(0, problemsMax);
  return problemResponse(new Problem('request-invalid', problems[0] ?? 'cannot take the request', problems));
};

const pathPattern = (path: string): RegExp =>
  new RegExp(
    `^${path
      .replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
      .replace(/:[A-Za-z]+/g, '[^/]+')
      .replace(/\\\*$/, '.*')}$`,
  );

/** Answers 404, or 405 with `allow` where another method is known. */
export const notFoundHandler = (app: Pick<Hono, 'routes'>): ((context: Context) => Response) => {
  let known: { method: string; pattern: RegExp }[] | undefined;
  return (context) => {
    known ??= app.routes.filter(({ method }) => method !== 'ALL').map(({ method, path }) => ({ method, pattern: pathPattern(path) }));
    const { method, path: sent } = context.req;
    const path = sent.slice(0, 200);
    const allowed = new Set(known.filter(({ pattern }) => pattern.test(sent)).map((route) => route.method));
    if (allowed.has('GET')) allowed.add('HEAD');
    if (allowed.size === 0) return problemResponse(new Problem('not-found', `there is nothing at ${path}`));
    const allow = [...allowed].sort().join(', ');
    return problemResponse(new Problem('method-not-allowed', `cannot ${method} ${path}: it takes ${allow}`), { allow });
  };
};
