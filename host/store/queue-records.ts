/** The records of a queue in a Table. All keys of a queue begin with its prefix. */
import { shortHash } from '../base/short-hash.ts';
import type { Json, Write } from './table.ts';

/**
 * A message, at `i/<id>`. `position` is that of its index record, at `d/<position>`: when it is due, then a number, then its
 * id, so that positions sort as messages come. One that has an ordering key is at `k/<hash>/<position>` too.
 */
export type MessageRecord = { id: string; body: Json; attempt: number; at: number; position: string; key?: string; notBefore?: number };
/** `notBefore`: it was put off, but keeps its position. */
export type IndexRecord = { key?: string; notBefore?: number };
export type DedupeRecord = { id: string; until: number };

const dueLength = 9;
const orderLength = 3;
const radix = 36;
export const ordersMax = radix ** orderLength;

const digits = (value: number, length: number): string => Math.trunc(value).toString(radix).padStart(length, '0');

/** `order`: below `ordersMax`, of those that are due in the same millisecond. */
export const positionOf = (dueAt: number, order: number, id: string): string => digits(dueAt, dueLength) + digits(order, orderLength) + id;
export const dueOf = (position: string): number => Number.parseInt(position.slice(0, dueLength), radix);
export const idOf = (position: string): string => position.slice(dueLength + orderLength);
/** Above all positions that are due by then. */
export const dueBy = (now: number): string => digits(now + 1, dueLength);

export const messageKey = (prefix: string, id: string): string => `${prefix}i/${id}`;
export const messagePrefix = (prefix: string): string => `${prefix}i/`;
export const indexKey = (prefix: string, position: string): string => `${prefix}d/${position}`;
export const indexPrefix = (prefix: string): string => `${prefix}d/`;
export const orderedPrefix = (prefix: string, key: string): string => `${prefix}k/${shortHash(key)}/`;
export const dedupeKey = (prefix: string, dedupeId: string): string => `${prefix}x/${shortHash(dedupeId)}`;
export const dedupePrefix = (prefix: string): string => `${prefix}x/`;

const indexRecord = ({ key, notBefore }: MessageRecord): IndexRecord => ({
  ...(key === undefined ? {} : { key }),
  ...(notBefore === undefined ? {} : { notBefore }),
});

export const putWrites = (prefix: string, record: MessageRecord): Write[] => [
  { key: messageKey(prefix, record.id), put: record },
  { key: indexKey(prefix, record.position), put: indexRecord(record) },
  ...(record.key === undefined ? [] : [{ key: orderedPrefix(prefix, record.key) + record.position, put: null }]),
];

/** Fails with `conflict` where the message is no longer as it was when it was read. */
export const deleteWrites = (prefix: string, { id, position, key }: MessageRecord, revision: number): Write[] => [
  { key: messageKey(prefix, id), delete: true, expectRevision: revision },
  { key: indexKey(prefix, position), delete: true },
  ...(key === undefined ? [] : [{ key: orderedPrefix(prefix, key) + position, delete: true as const }]),
];

/** Changes a message that is read at `revision`, and its place if that is another. */
export const moveWrites = (prefix: string, from: MessageRecord, to: MessageRecord, revision: number): Write[] => [
  { key: messageKey(prefix, to.id), put: to, expectRevision: revision },
  { key: indexKey(prefix, to.position), put: indexRecord(to) },
  ...(from.position === to.position ? [] : [{ key: indexKey(prefix, from.position), delete: true as const }]),
];
