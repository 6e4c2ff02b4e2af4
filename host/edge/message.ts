import { z } from 'zod';
import type { Json } from '../store/table.ts';
import { protocols } from './protocol.ts';
import type { RecordChanges } from './records.ts';
import { openSigned, type Signer, signed } from './signing.ts';

/** What an origin tells its edges: the state of its deployments at a revision, whole or as changes since another one. */

export type FeedMessage = RecordChanges & {
  /** The oldest protocol by which it can be read. */
  format: number;
  /** Version of the product, for people. */
  product: string;
  /** Of the origin's functions' default hosts. */
  domain: string;
  revision: number;
  /** The revision that it changes; null: it is the whole state. */
  base: number | null;
};

/** The first event of a feed. It is not signed: a key is believed because it was pinned, or at the very first joining. */
export type Hello = {
  /** The protocol that is spoken. */
  format: number;
  key: string;
  heartbeatMs: number;
  draining: boolean;
};

const hello = z.object({ format: z.int(), key: z.string().max(64), heartbeatMs: z.int().min(1).max(3_600_000), draining: z.boolean() });
const revision = z.int().min(1);
const key = z.string().min(1).max(1280);
const message = z.object({
  // One for older protocols can be read by all later ones that the origin speaks.
  format: z.int().min(1).max(protocols.newest),
  product: z.string(),
  domain: z.string(),
  revision,
  base: revision.nullable(),
  put: z.array(z.tuple([key, z.custom<Json>(() => true)])),
  remove: z.array(key),
});

function parse<T>(schema: z.ZodType<T>, text: string): T | undefined {
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

export const parseHello = (text: string): Hello | undefined => parse(hello, text);

export const signMessage = (signer: Signer, content: FeedMessage): string => signed(signer, JSON.stringify(content));

/** Where an edge is: whom it believes, and what it has. Revision 0: nothing. */
export type Position = { key: string; revision: number };

export type Verdict =
  | { kind: 'apply'; message: FeedMessage }
  /** It was told before. */
  | { kind: 'known' }
  /** Something was missed: the whole state is needed. */
  | { kind: 'gap' }
  /** Not to be believed; what the edge has stays as it is. */
  | { kind: 'refuse'; why: 'signature' | 'form' | 'backwards'; detail: string };

/** What an edge does with a message. Pure: lost, repeated and reordered messages end in the state of the origin, or in a gap. */
export function judge(at: Position, data: string): Verdict {
  const text = openSigned(at.key, data);
  if (text === undefined) return { kind: 'refuse', why: 'signature', detail: 'the message is not signed by the key of the origin' };
  const found = parse(message, text);
  if (found === undefined) return { kind: 'refuse', why: 'form', detail: `the message is not of protocol ${protocols.newest} or before` };
  if (found.base === null && found.revision < at.revision)
    return { kind: 'refuse', why: 'backwards', detail: `the origin is at revision ${found.revision}, this edge has seen ${at.revision}` };
  if (found.revision <= at.revision) return { kind: 'known' };
  if (found.base !== null && found.base !== at.revision) return { kind: 'gap' };
  return { kind: 'apply', message: found };
}
