import { type ErrorCode, Problem } from '../base/errors.ts';
import { protocolHeader, protocols, protocolsText } from './protocol.ts';

/** Requests of an edge to its origin's control API. */
export type OriginClient = {
  url: string;
  /** @throws Problem `unauthorized`, `forbidden`, `not-found`, `protocol-unsupported`, `unavailable` (also when it cannot be reached) */
  request(path: string, init?: RequestInit): Promise<Response>;
};

const causeOf = (error: unknown): string => {
  const cause = (error as Error).cause as (Error & { code?: string }) | undefined;
  return cause?.code ?? cause?.message ?? (error as Error).message;
};

/** What the origin says of an error; one that cannot be read has the status alone. */
async function refusalOf(response: Response): Promise<{ code: ErrorCode; detail: string }> {
  const said = (await response
    .text()
    .then((text) => JSON.parse(text.slice(0, 4096)) as unknown)
    .catch(() => undefined)) as { code?: unknown; detail?: unknown } | null | undefined;
  const code = said?.code === 'protocol-unsupported' ? said.code : codes[response.status];
  return { code: code ?? 'unavailable', detail: typeof said?.detail === 'string' ? said.detail : `it answered with status ${response.status}` };
}

const codes: Readonly<Record<number, 'unauthorized' | 'forbidden' | 'not-found'>> = { 401: 'unauthorized', 403: 'forbidden', 404: 'not-found' };

/** @param product the version of this node, for people */
export const createOriginClient = (url: string, token: string, product: string): OriginClient => ({
  url,
  request: async (path, init = {}) => {
    const headers = new Headers(init.headers);
    headers.set('authorization', `Bearer ${token}`);
    headers.set(protocolHeader, protocolsText(protocols));
    headers.set('user-agent', `nacelle/${product}`);
    let response: Response;
    try {
      response = await fetch(new URL(path, url), { ...init, headers, redirect: 'error' });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new Problem('unavailable', `cannot reach the origin at ${url}: ${causeOf(error)}`);
    }
    if (response.ok) return response;
    const { code, detail } = await refusalOf(response);
    throw new Problem(code, `the origin at ${url} refuses: ${detail}`);
  },
});
