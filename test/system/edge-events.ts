import * as assert from 'uvu/assert';
import { type TestNode, until } from './node.ts';

/** Events that are sent at edges, to functions that count them. */

export const capabilities = { keyvalue: { '': 'done' } };
export const collects = { capabilities, events: [{ topic: 'made', at: 'origin' }] };

/** How often a payload took effect at a node. */
export const counted = async (node: TestNode, word: string): Promise<number> => {
  const response = await node.api('GET', `/v1/state/done/${word}`);
  return response.status === 404 ? 0 : Number(await response.text());
};

export const counts = (node: TestNode, words: readonly string[]): Promise<number[]> => Promise.all(words.map((word) => counted(node, word)));

type Accepted = { function: string; duplicate: boolean };

export const send = async (node: TestNode, word: string, to = 'topic=made'): Promise<Accepted[]> => {
  const attributes = { 'ce-specversion': '1.0', 'ce-id': word, 'ce-source': '/test', 'ce-type': 'made', 'content-type': 'text/plain' };
  const headers = { authorization: `Bearer ${node.token}`, ...attributes };
  const response = await fetch(`${node.control}/v1/events?${to}`, { method: 'POST', headers, body: word });
  assert.is(response.status, 202, await response.clone().text());
  return ((await response.json()) as { items: Accepted[] }).items;
};

export const sendAll = async (node: TestNode, words: readonly string[]): Promise<void> => {
  for (const word of words) await send(node, word);
};

export const arrive = (node: TestNode, words: readonly string[], what: string): Promise<true> =>
  until(async () => ((await counts(node, words)).every((count) => count > 0) ? true : undefined), what, 60_000);

export const waitingAt = async (node: TestNode): Promise<{ function: string; messages: number }[]> => {
  const { items } = (await (await node.api('GET', '/v1/event-queues')).json()) as { items: { function: string; at?: string; messages: number }[] };
  return items.filter(({ at }) => at === 'origin').map(({ function: name, messages }) => ({ function: name, messages }));
};

export const metric = async (node: TestNode, name: string): Promise<number> =>
  Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(await (await node.api('GET', '/metrics')).text())?.[1]);

export const words = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, index) => `${prefix}-${index}`);

export const queueIs = (edge: TestNode, messages: number): Promise<true> =>
  until(
    async () => ((await waitingAt(edge)).every((queue) => queue.messages === messages) ? true : undefined),
    `${messages} events to wait at the edge`,
    60_000,
  );
