import { createHash } from 'node:crypto';
import { Problem } from '../base/errors.ts';
import { readComponent } from '../component/elaborate.ts';
import type { Plan } from '../component/plan.ts';
import { type Artifact, PROFILE } from './artifact.ts';
import { checkHandler, checkLifecycle } from './check-handler.ts';
import { checkImports, type Implemented, openImports } from './check-imports.ts';
import type { CoreReport } from './core/report.ts';
import { type RewriteOptions, rewriteCore } from './core/rewrite.ts';
import { hostSignatures } from './host-signatures.ts';

/** The plan with only those core modules that it instantiates, each distinct one once. */
function distinctModules(plan: Plan, bytes: Uint8Array): { plan: Plan; cores: Uint8Array[] } {
  const modules: Plan['modules'] = [];
  const cores: Uint8Array[] = [];
  const byDigest = new Map<string, number>();
  const renumbered = new Map<number, number>();
  const numberOf = (index: number): number => {
    const range = plan.modules[index] as { start: number; end: number };
    const core = bytes.subarray(range.start, range.end);
    const digest = createHash('sha256').update(core).digest('base64');
    const known = byDigest.get(digest);
    if (known !== undefined) return known;
    byDigest.set(digest, cores.length);
    modules.push(range);
    return cores.push(core) - 1;
  };
  for (const index of [...new Set(plan.steps.map((step) => step.module))].sort((a, b) => a - b)) renumbered.set(index, numberOf(index));
  const steps = plan.steps.map((step) => ({ ...step, module: renumbered.get(step.module) as number }));
  return { plan: { ...plan, modules, steps }, cores };
}

/** What the engine has against a core module. */
function engineMessage(core: Uint8Array): string | undefined {
  try {
    new WebAssembly.Module(core as BufferSource);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message.replace(/^WebAssembly\.Module\(\): /, '') : String(error);
  }
}

function rewrite(core: Uint8Array, index: number, options: RewriteOptions = {}): { bytes: Uint8Array; report: CoreReport } {
  try {
    return rewriteCore(core, options);
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'module-invalid') throw error;
    throw new Problem('module-invalid', `cannot prepare core module ${index}: ${engineMessage(core) ?? error.message}`);
  }
}

function reasonsOf(reports: readonly CoreReport[]): string[] {
  const reasons = reports.flatMap((report, index) => report.unrestorable.map((reason) => (reports.length > 1 ? `core module ${index}: ${reason}` : reason)));
  return [...new Set(reasons)];
}

/**
 * Makes a component ready to run: reads and checks it, rewrites its core modules. The same bytes give the same artifact.
 *
 * @param implemented what the host implements; if not given, all interfaces whose WIT it knows
 * @throws Problem `module-invalid`, `import-unknown`
 */
export function prepare(bytes: Uint8Array, implemented?: Implemented): Artifact {
  const whole = readComponent(bytes);
  const host = hostSignatures();
  const provided = implemented ?? new Map([...host.interfaces].map(([name, functions]) => [name, [...functions.keys()]]));
  checkImports(whole, host, provided, true);
  checkHandler(whole, host);
  checkLifecycle(whole, host);
  const { plan, cores } = distinctModules(whole, bytes);
  const marked = cores.map((core, index) => rewrite(core, index));
  const reasons = reasonsOf(marked.map(({ report }) => report));
  const rewritten = reasons.length === 0 ? marked : cores.map((core, index) => rewrite(core, index, { markedPagesMin: Number.POSITIVE_INFINITY }));
  const reports = rewritten.map(({ report }) => report);
  return {
    digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`,
    profile: PROFILE,
    plan,
    modules: rewritten.map((core) => core.bytes),
    reports,
    imports: plan.imports.flatMap((imported) => imported.interface || []),
    open: openImports(plan, host, provided),
    exports: plan.exports.flatMap((exported) => exported.interface || exported.functions.map((func) => func.name)),
    bytes: bytes.length,
    restorable: reasons.length === 0,
    reasons,
  };
}
