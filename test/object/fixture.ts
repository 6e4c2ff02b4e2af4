import { objectPrefix } from '../../host/capability/object-model.ts';
import { createObjects, type Objects, type ObjectsOptions } from '../../host/object/objects.ts';
import { HeldBlobs } from '../../host/store/held-blobs.ts';
import { MemoryBlobs } from '../../host/store/memory/blobs.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';

export const bytes = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(text));
export const ownerKey = (tenant: string): string => `owner/${tenant}`;

export type ObjectFixture = Objects & { table: MemoryTable; blobs: MemoryBlobs; held: HeldBlobs; clock: { now: number } };

/** Objects in memory, of the tenants `acme` and `other`. */
export const openObjects = async (options: Partial<ObjectsOptions> & { blobBytesMax?: number } = {}): Promise<ObjectFixture> => {
  const table = new MemoryTable();
  const blobs = new MemoryBlobs(options.blobBytesMax === undefined ? {} : { bytesMax: options.blobBytesMax });
  const clock = { now: 1_000_000 };
  for (const tenant of ['acme', 'other']) await table.commit([{ key: ownerKey(tenant), put: true }]);
  const held = new HeldBlobs({ table, blobs });
  const base = {
    table,
    blobs,
    held,
    ownerKey,
    isOwner: (record: unknown) => record !== undefined,
    objectBytesMax: 1000,
    quotaBytes: 10_000,
    now: () => clock.now,
  };
  return { ...createObjects({ ...base, ...options }), table, blobs, held, clock };
};

/** The text of an object that is stored, or undefined. */
export const textOf = async ({ store, blobs }: Pick<ObjectFixture, 'store' | 'blobs'>, id: string, key: string): Promise<string | undefined> => {
  const object = store.find(id, key);
  return object && Buffer.from((await blobs.get(object.digest)) ?? []).toString();
};

/** Keys that hostile clients think of, all of them allowed. */
export const oddKeys = [
  'a',
  'a/b',
  '/a',
  'a//b',
  'a/',
  '...',
  '.a',
  'a.',
  '~node',
  '%2e%2e',
  'a b',
  'ä/é',
  '\u{10ffff}',
  'x'.repeat(1024),
  '?',
  '#',
  'a?b=c',
  '__proto__',
  '\ufffe',
  '*',
  '"',
  "'",
  '\\',
  '<script>',
];

/** Keys that are refused. */
export const badKeys = ['', '.', '..', 'a/../b', '../a', 'a/.', './a', 'a\0b', 'a\nb', '\u007f', 'x'.repeat(1025), 'é'.repeat(513), '\ud800'];

export const keysOf = async ({ table }: Pick<ObjectFixture, 'table'>, id: string): Promise<string[]> => {
  const { entries } = await table.scan({ prefix: objectPrefix(id), limit: 1000 });
  return entries.map(({ key }) => key.slice(objectPrefix(id).length));
};
