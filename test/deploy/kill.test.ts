import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createDeployments, type Deployments } from '../../host/deploy/deployments.ts';
import type { ClaimRecord, FunctionRecord, ModuleRecord, VersionRecord } from '../../host/deploy/model.ts';
import { formatRoute } from '../../host/deploy/route.ts';
import { HeldBlobs } from '../../host/store/held-blobs.ts';
import { openStore } from '../../host/store/lmdb/store.ts';
import type { Store } from '../../host/store/store.ts';
import type { Entry } from '../../host/store/table.ts';
import { ceilings, httpModule } from './fixture.ts';

const child = fileURLToPath(new URL('./deploy-child.ts', import.meta.url));

/** Runs the child until `lines` versions were answered and a moment more, kills it, and returns what was answered. */
const runAndKill = (data: string, lines: number, moreMs: number): Promise<string[]> =>
  new Promise((resolve, reject) => {
    const running = spawn(process.execPath, [child, data], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    let killing = false;
    running.stdout.on('data', (chunk) => {
      text += chunk;
      if (killing || text.split('\n').length <= lines) return;
      killing = true;
      setTimeout(() => running.kill('SIGKILL'), moreMs);
    });
    running.on('error', reject);
    running.on('close', (_code, signal) =>
      signal === 'SIGKILL' ? resolve(text.split('\n').slice(0, -1)) : reject(new Error(`the child ended by itself: ${text}`)),
    );
  });

const entriesOf = async ({ table }: Pick<Store, 'table'>): Promise<Entry[]> => {
  const entries: Entry[] = [];
  let cursor: string | undefined;
  do {
    const page = await table.scan({ limit: 1000, ...(cursor === undefined ? {} : { cursor }) });
    entries.push(...page.entries);
    cursor = page.next;
  } while (cursor !== undefined);
  return entries;
};

const valuesUnder = <T>(entries: readonly Entry[], pattern: RegExp): Map<string, T> =>
  new Map(entries.filter(({ key }) => pattern.test(key)).map(({ key, value }) => [key, value as T]));

/** Everything that refers to something finds it, and nothing lies about that nobody refers to. */
const checkWhole = async (store: Store): Promise<void> => {
  const entries = await entriesOf(store);
  const functions = valuesUnder<FunctionRecord>(entries, /^[a-z]+\/function\//);
  const versions = valuesUnder<VersionRecord>(entries, /^[a-z]+\/version\//);
  const modules = valuesUnder<ModuleRecord>(entries, /^[a-z]+\/module\//);
  const claims = valuesUnder<ClaimRecord>(entries, /^~node\/route\//);
  const claimed = [...functions].flatMap(([key, { name, routes }]) => routes.map((route) => `${formatRoute(route)} ${key.split('/')[0]} ${name}`));
  assert.equal(
    [...claims].map(([key, claim]) => `${key.slice('~node/route/'.length).replace(/^([a-z0-9.]+)\/\*$/, '$1')} ${claim.tenant} ${claim.function}`).sort(),
    claimed.sort(),
  );
  for (const [key, { live, history, versionNext }] of functions) {
    const own = [...versions].filter(([other]) => other.startsWith(`${key.replace('/function/', '/version/')}/`)).map(([, { version }]) => version);
    for (const version of [...live.map((target) => target.version), ...history]) assert.ok(own.includes(version), `${key} ${version}`);
    assert.is(own.at(-1), versionNext - 1);
  }
  for (const [key, { digest }] of versions) assert.ok(modules.has(`${key.split('/')[0]}/module/${digest}`), key);
  for (const [key] of versions) assert.ok(functions.has(key.replace('/version/', '/function/').replace(/\/\d+$/, '')), key);
  for (const { digest } of modules.values()) assert.ok(await store.blobs.exists(digest), digest);
  const held = new Set([...modules.values()].map(({ digest }) => digest));
  assert.equal((await Array.fromAsync(store.blobs.digests())).sort(), [...held].sort());
};

const openAgain = async (store: Store): Promise<Deployments> => {
  const deployments = createDeployments({
    table: store.table,
    blobs: new HeldBlobs(store),
    ceilings,
    domain: 'localhost',
    secretKey: Buffer.alloc(32),
    prepare: async () => httpModule,
    onRouteTable: async () => undefined,
    moduleKeepMs: 0,
  });
  await deployments.open();
  await deployments.sweep();
  return deployments;
};

test('deploy: kill -9 in the middle leaves nothing half-written and loses nothing that was answered', async () => {
  const data = mkdtempSync(join(tmpdir(), 'nacelle-deploy-'));
  try {
    for (const [lines, moreMs] of [
      [1, 0],
      [7, 1],
      [20, 2],
      [33, 0],
      [40, 5],
      [61, 3],
    ] as const) {
      const answered = await runAndKill(data, lines, moreMs);
      const store = await openStore(data, { bytesMax: 256 * 1024 * 1024 });
      const deployments = await openAgain(store);
      await checkWhole(store);
      for (const line of answered.filter((text) => text.startsWith('default/'))) {
        const [, name = '', version] = /^default\/(\w+)@(\d+)$/.exec(line) ?? [];
        assert.ok(((await deployments.functions.read.find('default', name))?.versionNext ?? 0) > Number(version), line);
      }
      await store.close();
    }
  } finally {
    rmSync(data, { recursive: true });
  }
});

test.run();
