import type { CompiledArtifact } from '../../host/instance/compiled.ts';
import type { CompiledSidecar } from '../../host/instance/parts.ts';
import { createPoolRunner, type PoolRunner } from '../../host/instance/pool-runner.ts';
import type { RunEnd } from '../../host/instance/runner.ts';
import { compose, kindsOf } from '../../host/sidecar/compose.ts';
import type { ExecutionPorts } from '../../host/wasi/context.ts';
import { type Answer, Collector, grant, type Loaded, load, ports, requestOf, type Sent } from './harness.ts';

export type Named = Partial<Omit<CompiledSidecar, 'artifact' | 'grant'>> & { fixture: string; provides?: string };

const compiled = ({ artifact, modules }: Loaded): CompiledArtifact => ({ ...artifact, modules });

const defaults: Omit<CompiledSidecar, 'name' | 'kinds' | 'artifact'> = {
  version: '1.0.0',
  digest: '',
  scope: 'execution',
  from: 'agent',
  why: 'manifest',
  when: 'always',
  required: true,
  graceMs: 5000,
  readyMs: 5000,
  onMainChange: 'follow',
  limits: { memoryMib: 16, cpuMs: 200 },
  settings: [],
  outboundHosts: [],
  keyvalue: [],
  grant,
};

const compiledSidecar = ({ fixture, provides: _, ...rest }: Named, loaded: Loaded): CompiledSidecar => ({
  ...defaults,
  name: fixture,
  kinds: kindsOf(loaded.artifact.plan),
  artifact: compiled(loaded),
  ...rest,
});

/** A runner of the function `main` with sidecars, all of them fixtures. */
export async function runnerOf(main: string, named: readonly Named[], overrides: Partial<Parameters<typeof createPoolRunner>[0]> = {}): Promise<PoolRunner> {
  const loaded = await Promise.all([main, ...named.map(({ fixture }) => `sidecar/${fixture}`)].map((name) => load(name)));
  const labels = ['main', ...named.map(({ fixture }) => fixture)];
  const candidates = loaded.map(({ artifact }, i) => ({
    label: labels[i] as string,
    plan: artifact.plan,
    open: artifact.open,
    provides: named[i - 1]?.provides,
  }));
  const { composition, unmet } = compose(candidates);
  if (unmet.length > 0) throw new Error(`unmet: ${JSON.stringify(unmet)}`);
  const sidecars = named.map((one, i) => compiledSidecar(one, loaded[i + 1] as Loaded));
  const limits = { memoryMib: 64, cpuMs: 200, concurrency: 100 };
  return createPoolRunner({
    function: 'main',
    artifact: compiled(loaded[0] as Loaded),
    grant,
    limits,
    mode: 'pristine',
    composition: { ...composition, sidecars },
    ...overrides,
  });
}

/** Sends one request through a runner; `stopAfterMs` stops it from outside. */
export async function ask(
  runner: PoolRunner,
  sent: Sent = {},
  execution: ExecutionPorts = ports(),
  stopAfterMs?: number,
): Promise<{ answer: Answer; end: RunEnd }> {
  const collector = new Collector();
  const run = runner.run(requestOf(sent), collector, execution);
  const timer = stopAfterMs === undefined ? undefined : setTimeout(() => run.stop('time-limit', 'too long'), stopAfterMs);
  const end = await run.ended;
  clearTimeout(timer);
  return { answer: collector.answer(), end };
}
