import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { prepare } from '../../host/module/prepare.ts';
import { cleanUp, fixture, startTestNode, type TestNode } from '../system/node.ts';
import { bombs } from './bombs.ts';
import { changes, Mutator } from './mutate.ts';

/** By hand: so many seconds for each of the two searches, in place of a fixed number of components. `FUZZ_SECONDS=1200 npm test -- hostile/uploads` */
const seconds = Number(process.env.FUZZ_SECONDS ?? 0);
const seed = Number(process.env.FUZZ_SEED ?? 1);

const runs = (count: number) =>
  seconds > 0 ? { seed, numRuns: 100_000_000, interruptAfterTimeLimit: seconds * 1_000, markInterruptAsFailure: false } : { seed, numRuns: count };

const small = [
  'hello',
  'echo',
  'router',
  'settings',
  'bucket',
  'region',
  'transfer',
  'composed-guard',
  'composed-shop',
  'as-hello',
  'burn',
  'exit',
  'drip',
  'locking',
];
const others = ['sidecar/guard', 'sidecar/flagged', 'sidecar/probe', 'state/memory', 'state/table-grow', 'rust-std', 'rust-adapter'];
const seeds = [...small, ...others].map(fixture);
const mutator = new Mutator(seeds);
const hostile = fc.tuple(fc.nat(seeds.length - 1), changes);

/** CPU time, which others on the machine do not lengthen; a node gives a preparation 30 s. */
const preparedWithinMs = 5_000;

/** The problem that the bytes are refused with; undefined if they are taken, and then all core modules compile. */
function refusalOf(bytes: Uint8Array): Problem | undefined {
  try {
    for (const module of prepare(bytes).modules) new WebAssembly.Module(module as BufferSource);
    return undefined;
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
}

function timed<T>(what: string, work: () => T): T {
  const before = process.cpuUsage();
  const result = work();
  const { user, system } = process.cpuUsage(before);
  assert.ok((user + system) / 1_000 < preparedWithinMs, `${what} took ${(user + system) / 1_000} ms`);
  return result;
}

test('prepare: mutated components are refused for a reason, or all their core modules compile, in bounded time', () => {
  const outcomes = { taken: 0, refused: 0 };
  fc.assert(
    fc.property(hostile, ([at, list]) => {
      const problem = timed('prepare', () => refusalOf(mutator.mutate(at, list)));
      outcomes[problem === undefined ? 'taken' : 'refused']++;
      if (problem !== undefined) assert.ok(problem.code === 'module-invalid' || problem.code === 'import-unknown', `${problem.code}: ${problem.message}`);
    }),
    runs(250),
  );
  assert.ok(outcomes.refused > 50 && outcomes.taken > 5, JSON.stringify(outcomes));
});

for (const [name, make] of Object.entries(bombs))
  test(`prepare: a ${name} is refused or prepared, in bounded time and memory`, async () => {
    const bytes = make();
    const problem = timed(name, () => refusalOf(bytes));
    if (problem !== undefined) assert.is(problem.code, 'module-invalid', problem.message);
  });

/** What the guest of a mutated component may do to its own request. */
const guestFaults = /^(guest-(trap|exit|no-response|error)|memory-limit|cpu-limit|time-limit|header-too-large)$/;
const uploadRefusals = /^(module-invalid|import-unknown)$/;
const deployRefusals = /^(module-invalid|import-unknown|import-not-granted|manifest-invalid|sidecar-invalid)$/;

const limits = { cpuMs: 50, timeMs: 500, memoryMib: 16, bodyMib: 1 };

let node: TestNode;

async function codeOf(response: Response): Promise<string | undefined> {
  const text = await response.text().catch(() => '');
  if (response.headers.get('content-type') !== 'application/problem+json') return undefined;
  return (JSON.parse(text) as { code: string }).code;
}

/** Uploads, deploys and calls it; resolves with how far it came. */
async function upload(bytes: Uint8Array): Promise<'refused' | 'answered' | 'failed'> {
  const put = await node.api('PUT', '/v1/modules', Uint8Array.from(bytes));
  if (put.status >= 400) {
    assert.match((await codeOf(put)) ?? '', uploadRefusals);
    return 'refused';
  }
  const { digest } = (await put.json()) as { digest: string };
  const made = await node.api('POST', '/v1/functions', { name: 'hostile', module: digest, limits });
  if (made.status >= 400) {
    assert.match((await codeOf(made)) ?? '', deployRefusals);
    return 'refused';
  }
  const answer = await fetch(`${node.url}/hostile/`, { method: 'POST', body: 'x'.repeat(100) });
  const code = await codeOf(answer);
  if (code !== undefined) assert.match(code, guestFaults);
  return code === undefined ? 'answered' : 'failed';
}

test('a node: takes or refuses mutated components, runs those it took, and serves others meanwhile', async () => {
  node = await startTestNode({ gateways: 1 });
  await node.deploy('hello', 'hello');
  const outcomes = { refused: 0, answered: 0, failed: 0 };
  await fc.assert(
    fc.asyncProperty(hostile, async ([at, list]) => {
      const [outcome, hello] = await Promise.all([upload(mutator.mutate(at, list)), fetch(`${node.url}/hello/`)]);
      outcomes[outcome]++;
      assert.is(await hello.text(), 'Hello from nacelle!\n');
    }),
    runs(30),
  );
  assert.is(node.process.exitCode, null, node.errors());
  assert.ok(outcomes.refused > 5 && outcomes.answered + outcomes.failed > 0, JSON.stringify(outcomes));
});

test.after(cleanUp);
test.run();
