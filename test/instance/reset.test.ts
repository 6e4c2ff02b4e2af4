import { readdirSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Linked, Linker } from '../../host/component/link.ts';
import { Instance } from '../../host/instance/instance.ts';
import { takeSnapshot } from '../../host/instance/snapshot.ts';
import type { WasiContext } from '../../host/wasi/context.ts';
import { hostInterfaces } from '../../host/wasi/p2/index.ts';
import { Collector, grant, initialPages, type Loaded, load, parametersOf, ports, type Sent } from './harness.ts';

/** Requests that each fixture answers the same way whenever it is asked in the same state. */
const requests: Record<string, Sent[]> = {
  hello: [{}, { path: '/other' }],
  echo: [{ body: 'some text' }, { body: 'x'.repeat(200_000) }, {}],
  router: [{ path: '/count' }, { path: '/items/1', method: 'PUT', body: '{"a":1}' }, { path: '/items' }, { path: '/items/1' }],
  big: [{ path: '/?headers=20&body=100000' }],
  printer: [{}, { path: '/?bytes=5000' }],
  settings: [{}, { path: '/colour' }],
  leak: [{ path: '/?pages=10' }, {}],
  disorder: [{ path: '/all' }],
  failing: [{}, { path: '/?case=3' }],
  twice: [{}],
  trap: [{}, { path: '/unreachable' }, { path: '/out-of-bounds' }, { path: '/late/unreachable' }, {}],
  exit: [{ path: '/late-ok' }, { path: '/ok' }],
  'rust-std': [{}, { path: '/words', body: 'one two three' }, { path: '/env' }, { path: '/panic' }, {}],
  'rust-adapter': [{}, { path: '/words', body: 'one two three' }, { path: '/panic' }],
  'js-hello': [{}, { path: '/other' }],
  'js-hono': [{}, { path: '/nothing' }],
  'rust-wstd': [{}, { path: '/echo', body: 'again' }],
};
for (const file of readdirSync(new URL('../../fixtures/state/', import.meta.url))) requests[`state/${file.replace('.wasm', '')}`] = [{}, {}, {}];

/** A linker that shows what it made. */
class OpenLinker extends Linker<WasiContext> {
  last: Linked | undefined;

  override async instantiate(...parameters: Parameters<Linker<WasiContext>['instantiate']>): Promise<Linked> {
    this.last = await super.instantiate(...parameters);
    return this.last;
  }
}

type Made = { instance: Instance; linked: Linked };

async function make({ artifact, modules }: Loaded): Promise<Made> {
  const linker = new OpenLinker(artifact.plan, modules, hostInterfaces);
  const instance = Instance.prepare(linker, { memoryPages: 512, cpuMs: 5000 }, initialPages(artifact), grant, ports());
  assert.is(await instance.initialise(), undefined);
  instance.remember(undefined);
  return { instance, linked: linker.last as Linked };
}

async function answerOf({ instance }: Made, handler: string, sent: Sent): Promise<{ shown: string; ended: boolean }> {
  const collector = new Collector();
  const captured = { stdout: '', records: [] };
  const { ended } = await instance.run(ports(captured), { interface: handler, function: 'handle', parameters: parametersOf(sent, collector) });
  const { status, headers, text, failed, aborted } = collector.answer();
  const shown = JSON.stringify({
    status,
    headers: headers.map(([name, value]) => `${name}: ${Buffer.from(value)}`),
    text,
    failed,
    aborted,
    ended: ended?.code,
    captured,
  });
  return { shown, ended: ended !== undefined };
}

/** Memories (all bytes), globals (NaN and -0 told apart) and handles of an instance. */
function stateOf({ linked }: Made): unknown {
  const { memories, globals, handles } = takeSnapshot(linked);
  const images = memories.map(({ parts, pages }) => ({
    pages,
    parts: parts.filter((part) => part.bytes !== null).map(({ start, bytes }) => [start, Buffer.from(bytes as Uint8Array).toString('base64')]),
  }));
  return {
    images,
    globals: globals.map((value) => (typeof value === 'number' ? Buffer.from(new Float64Array([value]).buffer).toString('hex') : String(value))),
    handles,
  };
}

for (const [name, sent] of Object.entries(requests))
  test(`reset: ${name} after each request is as fresh in memory, globals, handles and answers`, async () => {
    const loaded = await load(name);
    if (!loaded.artifact.restorable) {
      assert.ok(loaded.artifact.reasons.length > 0, 'the artifact says why it cannot be restored');
      return;
    }
    const rounds = 3;
    const kept = await make(loaded);
    const pristine = stateOf(kept);
    let current = kept;
    for (let round = 0; round < rounds; round++)
      for (const request of sent) {
        const fresh = await make(loaded);
        assert.equal(stateOf(fresh), pristine, 'two fresh instances are equal');
        const expected = await answerOf(fresh, loaded.handler, request);
        const actual = await answerOf(current, loaded.handler, request);
        assert.is(actual.shown, expected.shown, `${JSON.stringify(request)} in round ${round}`);
        assert.is(actual.ended, expected.ended);
        if (actual.ended || !current.instance.reset()) current = await make(loaded);
        assert.equal(stateOf(current), pristine, `after ${JSON.stringify(request)} in round ${round}`);
      }
  });

test.run();
