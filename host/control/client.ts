import { hc } from 'hono/client';
import { type ErrorCode, errorTable, Problem } from '../base/errors.ts';
import type { ControlApp } from './app.ts';

export type ClientOptions = {
  /** `http://127.0.0.1:8081` */
  url: string;
  token: string;
  fetch?: typeof fetch;
};

/** The control API, typed: `client.v1.functions[':name'].$get({ param: { name }, query: {} })`. */
export const createControlClient = ({ url, token, fetch: send }: ClientOptions) =>
  hc<ControlApp>(url, { headers: { authorization: `Bearer ${token}` }, ...(send ? { fetch: send } : {}) });

export type ControlClient = ReturnType<typeof createControlClient>;

type ProblemBody = { code?: unknown; detail?: unknown; problems?: unknown };

const isCode = (code: unknown): code is ErrorCode => typeof code === 'string' && Object.hasOwn(errorTable, code);

/** The problem that a response is, or undefined if it is none. */
export const problemOf = async (response: Pick<Response, 'ok' | 'status' | 'headers' | 'text'>): Promise<Problem | undefined> => {
  if (response.ok) return undefined;
  const text = await response.text();
  let body: ProblemBody = {};
  try {
    body = JSON.parse(text) as ProblemBody;
  } catch {
    return new Problem('unavailable', `cannot read the answer: it must be problem+json, got status ${response.status}`);
  }
  const problems = Array.isArray(body.problems) ? body.problems.map(String) : undefined;
  return new Problem(
    isCode(body.code) ? body.code : 'internal',
    typeof body.detail === 'string' ? body.detail : `the node answered ${response.status}`,
    problems,
  );
};

/** The JSON of a response. @throws Problem if it is a refusal or a failure */
export const jsonOf = async <T>(response: { ok: boolean; status: number; headers: Headers; text(): Promise<string>; json(): Promise<T> }): Promise<T> => {
  const problem = await problemOf(response);
  if (problem) throw problem;
  return response.json();
};
