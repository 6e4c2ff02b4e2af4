import type { Source } from './sources.ts';

/** The folders of host/, each of which may import only from itself and those before it. */
export const LAYERS = [
  'base',
  'config',
  'telemetry',
  'store',
  'component',
  'module',
  'wasi',
  'capability',
  'sidecar',
  'instance',
  'isolate',
  'placement',
  'verdict',
  'execution',
  'state',
  'event',
  'object',
  'deploy',
  'edge',
  'fleet',
  'gateway',
  'control',
  'node',
  'node.ts',
  'index.ts',
  'toolchain',
  'cli',
] as const;

const layerOf = (path: string): string => path.split('/')[1] ?? '';

function problemOf(from: string, to: string): string | undefined {
  if (!from.startsWith('host/')) return undefined;
  if (!to.startsWith('host/')) return 'host/ imports nothing from outside of itself';
  const [own, other] = [LAYERS.indexOf(layerOf(from) as never), LAYERS.indexOf(layerOf(to) as never)];
  if (own < 0) return `${layerOf(from)} is not a layer: name it in test/tidy/layers.ts`;
  return other > own ? `${layerOf(from)} stands before ${layerOf(to)}` : undefined;
}

/** Imports that go against the order of the layers, one line each. */
export function layerProblems(sources: readonly Source[]): string[] {
  const problems: string[] = [];
  for (const { path, imports } of sources) {
    for (const to of imports) {
      const reason = problemOf(path, to);
      if (reason) problems.push(`${path} → ${to}: ${reason}`);
    }
  }
  return problems;
}

/** Cycles of what is imported at run time, each once, as `a → b → a`. Types may refer to one another. */
export function cycleProblems(sources: readonly Source[]): string[] {
  const imports = new Map(sources.map((source) => [source.path, source.loads]));
  const done = new Set<string>();
  const problems: string[] = [];
  const visit = (path: string, trail: string[]): void => {
    if (trail.includes(path)) problems.push([...trail.slice(trail.indexOf(path)), path].join(' → '));
    if (done.has(path)) return;
    done.add(path);
    for (const to of imports.get(path) ?? []) visit(to, [...trail, path]);
  };
  for (const path of imports.keys()) visit(path, []);
  return problems;
}
