import { Problem } from '../base/errors.ts';
import { type ControlClient as Api, createControlClient, problemOf } from '../control/client.ts';

/** Where the control API is, and with which token. */
export type Access = { url: string; token: string };

/** The control API of one node. Every call throws a `Problem` unless it succeeds. */
export type ControlClient = {
  api: Api;
  /** The query that names the tenant, where the command line does. */
  tenant: { tenant?: string };
  /** For what the typed client cannot say, bytes in and events out: a request with the token, whose answer is not checked. */
  send(url: URL, init: RequestInit): Promise<Response>;
};

const causeOf = (error: unknown): string => {
  const cause = (error as Error).cause as (Error & { code?: string }) | undefined;
  return cause?.code ?? cause?.message ?? (error as Error).message;
};

async function reach(input: URL | RequestInfo, init: RequestInit): Promise<Response> {
  try {
    return await fetch(input, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    const { origin } = new URL(input instanceof Request ? input.url : input);
    throw new Problem('unavailable', `cannot reach the node at ${origin}: ${causeOf(error)} (is it running? "nacelle serve" starts one)`);
  }
}

/** Throws the problem that a response is, if it is one. */
export async function checked(response: Response): Promise<Response> {
  const problem = await problemOf(response);
  if (problem) throw problem;
  return response;
}

/** @param signal ends every call */
export function connect({ url, token }: Access, tenant: string | undefined, signal: AbortSignal): ControlClient {
  const send = (to: URL | RequestInfo, init: RequestInit = {}): Promise<Response> => {
    const headers = new Headers(init.headers);
    headers.set('authorization', `Bearer ${token}`);
    return reach(to, { ...init, headers, signal });
  };
  const fetchChecked = async (to: URL | RequestInfo, init?: RequestInit): Promise<Response> => checked(await send(to, init));
  return { api: createControlClient({ url, token, fetch: fetchChecked as typeof fetch }), tenant: tenant === undefined ? {} : { tenant }, send };
}

/** Everything of a list, page by page. */
export async function allItems<T>(page: (query: { cursor?: string }) => Promise<{ items: T[]; next?: string | undefined }>): Promise<T[]> {
  const items: T[] = [];
  for (let query: { cursor?: string } | undefined = {}; query; ) {
    const { items: some, next } = await page(query);
    items.push(...some);
    query = next === undefined ? undefined : { cursor: next };
  }
  return items;
}
