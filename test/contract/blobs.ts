import { createHash } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Blobs, Written } from '../../host/store/blobs.ts';
import { rejects } from './table.ts';

/** Opens an empty blob store. `bytesMax` is at least 4 MiB. */
export type OpenBlobs = (options?: { bytesMax?: number }) => Promise<{ blobs: Blobs; close(): Promise<void> }>;

type Check = (behaviour: string, body: (blobs: Blobs) => Promise<void>, options?: { bytesMax?: number }) => void;

/** What every adapter of the `Blobs` port promises. The caller runs the tests. */
export function blobsContract(adapter: string, open: OpenBlobs): void {
  const check: Check = (behaviour, body, options) => {
    test(`${adapter}: ${behaviour}`, async () => {
      const { blobs, close } = await open(options);
      try {
        await body(blobs);
      } finally {
        await close();
      }
    });
  };
  storing(check);
  reading(check);
  arriving(check);
  refusing(check);
}

export const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** Bytes that differ at each place, so that an exchanged chunk is noticed. */
export function pattern(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let index = 0; index < words.length; index++) words[index] = Math.imul(index + seed, 2654435761);
  return new Uint8Array(words.buffer, 0, length);
}

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<{ bytes: Buffer; largest: number }> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return { bytes: Buffer.concat(chunks), largest: Math.max(0, ...chunks.map(({ length }) => length)) };
}

async function digests(blobs: Blobs): Promise<string[]> {
  const found: string[] = [];
  for await (const digest of blobs.digests()) found.push(digest);
  return found.sort();
}

const mib = 1024 * 1024;

function storing(check: Check): void {
  check('put: keeps bytes of any size, given in pieces of any size', async (blobs) => {
    for (const length of [0, 1, 1000, mib - 33, mib - 32, mib - 31, mib, mib + 1, 3 * mib + 17]) {
      const bytes = pattern(length, length + 1);
      const put = await blobs.put(pieces(bytes, length > 10_000 ? 65_537 : 7), { bytesMax: 4 * mib });
      assert.equal(put, { digest: digestOf(bytes), bytes: length });
      assert.equal([await blobs.exists(put.digest), await blobs.size(put.digest)], [true, length]);
      assert.ok(Buffer.from((await blobs.get(put.digest)) as Uint8Array).equals(bytes), `${length} bytes come back whole`);
      const streamed = await collect(blobs.stream(put.digest));
      assert.ok(streamed.bytes.equals(bytes), `${length} bytes come back streamed`);
      assert.ok(streamed.largest <= mib);
    }
  });

  check('put: takes one large piece, and bytes that change afterwards', async (blobs) => {
    const bytes = pattern(2 * mib + 5);
    const { digest } = await blobs.put([bytes], { bytesMax: 4 * mib });
    bytes.fill(0);
    assert.is(digestOf((await blobs.get(digest)) as Uint8Array), digest);
  });

  check('put: keeps the same bytes once, also when they come at once', async (blobs) => {
    const bytes = pattern(mib + 100);
    const puts = await Promise.all([1, 2, 3].map(() => blobs.put(pieces(bytes, 100_000), { bytesMax: 2 * mib, digest: digestOf(bytes) })));
    assert.equal(new Set(puts.map(({ digest }) => digest)).size, 1);
    await blobs.put([bytes], { bytesMax: 2 * mib });
    assert.ok(await blobs.delete(digestOf(bytes)));
    assert.not.ok(await blobs.exists(digestOf(bytes)));
    assert.equal(await digests(blobs), []);
  });

  check('delete: removes, once', async (blobs) => {
    const [one, other] = [await blobs.put([pattern(2 * mib)], { bytesMax: 2 * mib }), await blobs.put([pattern(10)], { bytesMax: 10 })];
    assert.is(await blobs.delete(one.digest), true);
    assert.is(await blobs.delete(one.digest), false);
    assert.is(await blobs.get(one.digest), undefined);
    assert.is(await blobs.size(one.digest), undefined);
    await rejects(collect(blobs.stream(one.digest)), 'not-found');
    assert.is((await blobs.get(other.digest))?.length, 10);
    await blobs.put([pattern(2 * mib)], { bytesMax: 2 * mib });
    assert.is((await blobs.get(one.digest))?.length, 2 * mib);
  });
}

function reading(check: Check): void {
  check('put: tells the digest before the bytes can be seen', async (blobs) => {
    const bytes = pattern(1000);
    const told: string[] = [];
    const onDigest = (digest: string): void => {
      assert.not.ok(blobs.exists(digest));
      told.push(digest);
    };
    await blobs.put([bytes], { bytesMax: 1000, onDigest });
    assert.equal(told, [digestOf(bytes)]);
  });

  check('digests: lists all that is there', async (blobs) => {
    const all: string[] = [];
    for (let index = 0; index < 300; index++) all.push((await blobs.put([Uint8Array.of(index, index >> 8)], { bytesMax: 2 })).digest);
    assert.equal(await digests(blobs), all.sort());
  });

  check('range: gives any part of the bytes, and refuses what is not within them', async (blobs) => {
    const bytes = pattern(3 * mib + 17);
    const { digest } = await blobs.put([bytes], { bytesMax: 4 * mib });
    const bounds = [0, 1, mib - 33, mib - 32, mib - 31, mib, 2 * mib, bytes.length - 1, bytes.length];
    for (const start of bounds) {
      for (const end of bounds.filter((bound) => bound >= start)) {
        const part = await collect(blobs.range(digest, start, end));
        assert.ok(part.bytes.equals(bytes.subarray(start, end)), `${start} to ${end}`);
        assert.ok(part.largest <= mib);
      }
    }
    for (const [start, end] of [
      [-1, 2],
      [2, 1],
      [0, bytes.length + 1],
      [0.5, 1],
      [0, Number.NaN],
    ] as const)
      await rejects(collect(blobs.range(digest, start, end)), 'request-invalid');
    await rejects(collect(blobs.range(digestOf(pattern(3)), 0, 0)), 'not-found');
  });
}

function arriving(check: Check): void {
  check('written: gives what has come of a put that is under way, and nothing of one that came to nothing', async (blobs) => {
    const bytes = pattern(3 * mib + 17);
    for (const breaks of [false, true]) {
      let told = { put: '', bytes: 0 };
      const source = async function* () {
        yield bytes.subarray(0, 2 * mib + 500);
        while (told.bytes === 0) await new Promise((resolve) => setImmediate(resolve));
        const part = await collect(blobs.written(told.put, 7, told.bytes));
        assert.ok(part.bytes.equals(bytes.subarray(7, told.bytes)));
        assert.ok(part.largest <= mib);
        if (breaks) throw new RangeError('it breaks off');
        yield bytes.subarray(2 * mib + 500);
      };
      const onWritten = (written: Written): void => {
        assert.ok(written.bytes > told.bytes && (told.put === '' || written.put === told.put));
        told = written;
      };
      const put = blobs.put(source(), { bytesMax: 4 * mib, onWritten }).then(
        () => 'put',
        (error) => (error instanceof RangeError ? 'broken' : error),
      );
      assert.is(await put, breaks ? 'broken' : 'put');
      assert.is(await blobs.exists(digestOf(bytes)), !breaks);
      if (breaks) await rejects(collect(blobs.written(told.put, 0, told.bytes)), 'not-found');
      else await blobs.delete(digestOf(bytes));
    }
  });
}

function refusing(check: Check): void {
  check('put: leaves nothing of bytes that are too many, not the expected ones, or break off', async (blobs) => {
    const bytes = pattern(3 * mib);
    await rejects(blobs.put(pieces(bytes, 500_000), { bytesMax: 3 * mib - 1 }), 'body-too-large');
    await rejects(blobs.put(pieces(bytes, 500_000), { bytesMax: 3 * mib, digest: digestOf(pattern(5)) }), 'request-invalid');
    const broken = async function* () {
      yield bytes.subarray(0, 2 * mib);
      throw new RangeError('the client is gone');
    };
    let thrown: unknown;
    await blobs.put(broken(), { bytesMax: 3 * mib }).catch((error) => {
      thrown = error;
    });
    assert.instance(thrown, RangeError);
    assert.not.ok(await blobs.exists(digestOf(bytes)));
    assert.equal(await digests(blobs), []);
  });

  check('get, stream, delete: refuse what is no digest', async (blobs) => {
    for (const digest of ['', 'sha256:', `sha256:${'A'.repeat(64)}`, `sha512:${'a'.repeat(64)}`, `sha256:${'a'.repeat(65)}`]) {
      await rejects(blobs.get(digest), 'request-invalid');
      await rejects(collect(blobs.stream(digest)), 'request-invalid');
      await rejects(blobs.delete(digest), 'request-invalid');
      await rejects(() => blobs.exists(digest), 'request-invalid');
      await rejects(blobs.put([], { bytesMax: 1, digest }), 'request-invalid');
    }
    const absent = digestOf(pattern(9));
    assert.is(await blobs.get(absent), undefined);
    assert.is(await blobs.size(absent), undefined);
    assert.is(await blobs.delete(absent), false);
    await rejects(collect(blobs.stream(absent)), 'not-found');
  });

  check(
    'put: refuses what the store has no room for, and has it again after a delete',
    async (blobs) => {
      const stored: string[] = [];
      await rejects(async () => {
        for (let seed = 1; seed < 20; seed++) stored.push((await blobs.put(pieces(pattern(mib + 1000, seed), 300_000), { bytesMax: 2 * mib })).digest);
      }, 'store-full');
      assert.ok(stored.length >= 3 && stored.length <= 8, `stored ${stored.length} × 1 MiB in 8 MiB`);
      assert.equal(await digests(blobs), [...stored].sort());
      await blobs.delete(stored[0] as string);
      await blobs.delete(stored[1] as string);
      await blobs.put([pattern(mib, 99)], { bytesMax: mib });
    },
    { bytesMax: 8 * mib },
  );
}
