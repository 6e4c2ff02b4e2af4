import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { EffectWriter } from '../../host/capability/effect-writer.ts';
import { createKeyValue } from '../../host/capability/keyvalue.ts';
import { OverlaidRegion } from '../../host/capability/overlaid-region.ts';
import { bytesOfRegion, RegionMemory } from '../../host/capability/region-memory.ts';
import { RegionEffects } from '../../host/state/region-effects.ts';
import { Regions } from '../../host/state/regions.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import { Overlay } from '../../host/wasi/overlay.ts';

const owner = '~node/tenant/acme';
const id = 'acme/~region/function/f/board';
const bytes = 80;
const numbers = 10;

/** A region with its writer; `open` begins an execution in an overlay, `plain` is what all others see. */
const openRegion = async () => {
  const table = new MemoryTable();
  await table.commit([{ key: owner, put: true }]);
  let regions: Regions;
  const writer = new EffectWriter({
    table,
    keyvalue: { findOwner: async () => table.get(owner), bucketBytesMax: 1 << 30 },
    others: (draft, buckets) => {
      const effects = new RegionEffects(draft, buckets, regions);
      const none = async (): Promise<void> => undefined;
      return { appliers: { object: none, recorded: none, region: (effect) => effects.apply(effect) }, settled: () => effects.settled() };
    },
  });
  const keyvalue = createKeyValue(table, (bucket, change) => writer.change(bucket, change));
  const store = (of: string, size: number, chunks: readonly number[]) =>
    writer.commit({ reads: [], effects: [{ kind: 'region', id: of, bytes: size, steps: chunks.map((chunk) => ({ step: 'store', chunk })) }], writes: [] });
  regions = new Regions({ open: (bucket) => keyvalue.open(bucket), store, shed: async () => undefined, onError: () => undefined });
  const buffer = await regions.enter({}, id, bytes);
  const plain = new RegionMemory(buffer, bytesOfRegion(buffer));
  let runs = 0;
  const begin = () => {
    const overlay = new Overlay(++runs);
    const commit = (): Promise<string> =>
      writer.commit({ ...overlay.collect(), writes: [] }).then(
        () => 'done',
        (error: unknown) => (error instanceof Problem ? error.code : String(error)),
      );
    return { region: new OverlaidRegion(id, plain, overlay), commit };
  };
  const stored = async (): Promise<Buffer> => {
    await regions.flush(id);
    const value = (await table.get<Uint8Array>('acme/state/~region/function/f/board/0'))?.value ?? new Uint8Array(bytes);
    return Buffer.from(value);
  };
  return { plain, begin, stored, close: () => regions.close() };
};

type Op = { op: 'get' | 'set' | 'add' | 'cas'; at: number; value: bigint };
type Step = { kind: 'op'; who: number; op: Op } | { kind: 'commit'; who: number } | { kind: 'plain'; op: Op };

const opArb: fc.Arbitrary<Op> = fc.record({
  op: fc.constantFrom('get' as const, 'set' as const, 'add' as const, 'cas' as const),
  at: fc.nat({ max: numbers - 1 }),
  value: fc.bigInt({ min: -3n, max: 3n }),
});
const who = fc.nat({ max: 2 });
const stepArb: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('op' as const), who, op: opArb }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('commit' as const), who }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('plain' as const), op: opArb }) },
);

const encoded = (value: bigint): Uint8Array => {
  const buffer = Buffer.alloc(8);
  buffer.writeBigInt64LE(value);
  return buffer;
};
const numberIn = (value: Uint8Array): bigint => Buffer.from(value).readBigInt64LE();

/** Does it to a region, and answers with what the guest is told. */
const doTo = (region: Pick<OverlaidRegion, 'read' | 'write' | 'add' | 'compareAndSwap'>, { op, at, value }: Op): bigint | undefined => {
  const offset = BigInt(at * 8);
  if (op === 'get') return numberIn(region.read(offset, 8));
  if (op === 'add') return region.add(offset, value);
  if (op === 'cas') return region.compareAndSwap(offset, 0n, value);
  region.write(offset, encoded(value));
  return undefined;
};

/** The same to an array of numbers. */
const doToModel = (model: bigint[], { op, at, value }: Op): bigint | undefined => {
  const before = model[at] as bigint;
  if (op === 'get') return before;
  if (op === 'cas') {
    if (before === 0n) model[at] = value;
    return before;
  }
  model[at] = op === 'add' ? before + value : value;
  return op === 'add' ? model[at] : undefined;
};

test('region in an overlay: what is committed is as if each execution had run at once at its commit, and is what is stored', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(stepArb, { maxLength: 40 }), async (steps) => {
      const { plain, begin, stored, close } = await openRegion();
      const model = Array.from({ length: numbers }, () => 0n);
      const fresh = () => ({ ...begin(), log: [] as { op: Op; told: bigint | undefined }[] });
      const executions = [fresh(), fresh(), fresh()];
      for (const step of steps) {
        if (step.kind === 'plain') {
          assert.is(doTo(plain, step.op), doToModel(model, step.op));
          continue;
        }
        const execution = executions[step.who] as ReturnType<typeof fresh>;
        if (step.kind === 'op') {
          execution.log.push({ op: step.op, told: doTo(execution.region, step.op) });
          continue;
        }
        const replayed = [...model];
        // The sum that an `add` tells is that of the moment; all else must be what it would be told now.
        const holds = execution.log.every(({ op, told }) => doToModel(replayed, op) === told || op.op === 'add');
        assert.is(await execution.commit(), holds ? 'done' : 'conflict');
        if (holds) model.splice(0, numbers, ...replayed);
        executions[step.who] = fresh();
      }
      const expected = Buffer.concat(model.map(encoded));
      assert.equal(Buffer.from(plain.read(0n, bytes)), expected);
      assert.equal((await stored()).subarray(0, bytes), expected);
      await close();
    }),
    { numRuns: 300 },
  );
});

test.run();
