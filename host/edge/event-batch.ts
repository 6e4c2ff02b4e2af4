import { z } from 'zod';
import { Problem } from '../base/errors.ts';
import { namePattern } from '../deploy/names.ts';
import { type EventItem, hopsMax } from '../event/model.ts';
import { payloadBytesMax } from '../verdict/model.ts';
import type { OriginClient } from './origin-client.ts';

/**
 * Events on their way from an edge to its origin. They go in numbered batches, one at a time; a batch is sent, unchanged, until
 * the origin has answered, and the origin keeps the number of the last one in the commit that takes it. So nothing is lost and
 * nothing is taken twice, however long the answer is missing, and what is remembered of an edge is one record.
 */
export type EventBatch = {
  /** One more than that of the batch before. */
  number: number;
  /** Tells two batches of the same number apart, where an edge was set back to an older copy of its data. */
  id: string;
  tenant: string;
  function: string;
  items: BatchItem[];
};

export type BatchItem = Pick<EventItem, 'trigger' | 'hops' | 'request' | 'dedupeId' | 'orderingKey'>;

/** What an origin answers. Not taken: the edge has to number its batch `next` and send it again. */
export type BatchAnswer = { taken: boolean; next: number };

/** The last batch of an edge that was taken. */
export type LastBatch = { number: number; id: string };

export type BatchVerdict = 'take' | 'known' | 'renumber';

/** What an origin does with a batch. Pure. One that was delayed on its way, and taken meanwhile, is never taken again. */
export const judgeBatch = (last: LastBatch | undefined, { number, id }: LastBatch): BatchVerdict => {
  if (last === undefined || number > last.number) return 'take';
  return number === last.number && id === last.id ? 'known' : 'renumber';
};

export const batchItemsMax = 100;
/** Of a batch as JSON: a little more than an edge sends. */
export const batchBytesMax = 8 * 1024 * 1024;

const text = z.string().max(8192);
const headers = z.array(z.tuple([z.string().max(256), z.string().max(65_536)])).max(256);
const request = z.strictObject({
  method: z.string().max(32),
  authority: z.string().max(512),
  pathWithQuery: z.string().max(8192),
  headers,
  body: z
    .string()
    .max(Math.ceil(payloadBytesMax / 3) * 4)
    .nullable(),
});
const item = z.strictObject({
  trigger: z.enum(['event', 'topic', 'state', 'object']),
  hops: z.int().min(0).max(hopsMax),
  request,
  dedupeId: z.string().max(20_000).optional(),
  orderingKey: text.optional(),
});
const name = z.string().regex(namePattern);

export const eventBatch = z.strictObject({
  number: z.int().min(1),
  id: z.string().min(1).max(64),
  tenant: name,
  function: name,
  items: z.array(item).min(1).max(batchItemsMax),
});

export const batchAnswer = z.object({ taken: z.boolean(), next: z.int().min(1) });

const answerWithinMs = 30_000;

/** @throws Problem as `OriginClient.request` does, and `unavailable` if the answer is none; then the origin may have it or not */
export async function sendBatch(client: OriginClient, edge: string, batch: EventBatch, signal: AbortSignal): Promise<BatchAnswer> {
  const headers = { 'content-type': 'application/json', 'nacelle-edge': edge };
  const within = AbortSignal.any([signal, AbortSignal.timeout(answerWithinMs)]);
  const response = await client.request('/v1/feed/events', { method: 'POST', body: JSON.stringify(batch), headers, signal: within });
  const answer = batchAnswer.safeParse(await response.json().catch(() => undefined)).data;
  if (!answer) throw new Problem('unavailable', 'cannot forward events: the answer of the origin cannot be read');
  return answer;
}
