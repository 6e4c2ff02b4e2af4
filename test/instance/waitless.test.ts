import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Linker } from '../../host/component/link.ts';
import { hostInterfaces } from '../../host/wasi/p2/index.ts';
import { sidecarInterfaces } from '../../host/wasi/p2/sidecar.ts';
import { type Captured, load, ports } from './harness.ts';
import { ask, runnerOf } from './sidecars.ts';

const interfaces = new Map([...hostInterfaces, ...sidecarInterfaces.map((table) => [table.name, table] as const)]);

test('Linker: a component that can only wait for what is always there never waits, whatever the types of its imports say', async () => {
  const waits = async (name: string): Promise<boolean> => {
    const { artifact, modules } = await load(name);
    return new Linker(artifact.plan, modules, interfaces).waits;
  };
  assert.equal([await waits('sidecar/rust-watch'), await waits('sidecar/quiet')], [false, false]);
  // A clock that rings, the body of a request, another component.
  assert.equal([await waits('sidecar/companion'), await waits('rust-std'), await waits('composed-guard')], [true, true, true]);
});

test('Group: a companion in Rust says the same when its calls are made at once as before', async () => {
  const seen: Captured = { stdout: '', records: [] };
  const runner = await runnerOf('trap', [{ fixture: 'rust-watch' }]);
  for (let i = 0; i < 60; i++) {
    const { end } = await ask(runner, { path: i % 3 === 0 ? '/unreachable' : `/${i}` }, ports(seen));
    assert.is(end.sidecars?.[0]?.code, undefined);
  }
  assert.equal(
    seen.records,
    Array.from({ length: 20 }, () => 'info rust-watch@1.0.0 GET /unreachable failed: guest-trap'),
  );
  runner.close();
});

test.run();
