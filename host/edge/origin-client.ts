import { Problem } from '../base/errors.ts';

/** Requests of an edge to its origin's control API. */
export type OriginClient = {
  url: string;
  /** @throws Problem `unauthorized`, `forbidden`, `unavailable` (also when it cannot be reached) */
  request(path: string, init?: RequestInit): Promise<Response>;
};

const causeOf = (error: unknown): string => {
  const cause = (error as Error).cause as (Error & { code?: string }) | undefined;
  return cause?.code ?? cause?.message ?? (error as Error).message;
};

async function detailOf(response: Response): Promise<string> {
  const text = (await response.text().catch(() => '')).slice(0, 4096);
  try {
    const { detail } = JSON.parse(text) as { detail?: unknown };
    return typeof detail === 'string' ? detail : `it answered with status ${response.status}`;
  } catch {
    return `it answered with status ${response.status}`;
  }
}

const codes: Readonly<Record<number, 'unauthorized' | 'forbidden' | 'not-found'>> = { 401: 'unauthorized', 403: 'forbidden', 404: 'not-found' };

export const createOriginClient = (url: string, token: string): OriginClient => ({
  url,
  request: async (path, init = {}) => {
    const headers = new Headers(init.headers);
    headers.set('authorization', `Bearer ${token}`);
    let response: Response;
    try {
      response = await fetch(new URL(path, url), { ...init, headers, redirect: 'error' });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new Problem('unavailable', `cannot reach the origin at ${url}: ${causeOf(error)}`);
    }
    if (response.ok) return response;
    throw new Problem(codes[response.status] ?? 'unavailable', `the origin at ${url} refuses: ${await detailOf(response)}`);
  },
});
