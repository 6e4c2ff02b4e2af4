import { Problem } from '../base/errors.ts';
import type { Plan } from '../component/plan.ts';
import type { Artifact } from '../module/artifact.ts';
import type { ExecutionPorts, Grant, GuestRequest, ResponseSink } from '../wasi/context.ts';
import { hostInterfaces, makeIncomingRequest, makeResponseOutparam, settle } from '../wasi/p2/index.ts';
import { InstancePool, type Outcome } from './pool.ts';
import type { FunctionRunner, Run, RunEnd, RunFailure } from './runner.ts';

/** An artifact whose core modules are compiled. */
export type CompiledArtifact = Pick<Artifact, 'plan' | 'reports' | 'restorable'> & { modules: WebAssembly.Module[] };

export type PoolRunnerOptions = {
  /** For messages. */
  function: string;
  artifact: CompiledArtifact;
  grant: Grant;
  limits: { memoryMib: number; cpuMs: number; concurrency: number };
  mode: 'pristine' | 'reuse';
};

/** A runner whose idle instances are made and dropped one by one. */
export type PoolRunner = FunctionRunner & {
  /** Makes an idle instance; `ports` take what its initialisation logs. Resolves with whether it is there. */
  prepare(ports: ExecutionPorts): Promise<boolean>;
  /** Drops the instance that has been idle for longest, if there is one. */
  dropOldest(): void;
};

const pagesPerMib = 16;

/** Memory that one instance begins with: a module that is instantiated twice counts twice. */
const initialPages = ({ plan, reports }: CompiledArtifact): number =>
  plan.steps.reduce((sum, { module }) => sum + (reports[module]?.memories ?? []).reduce((pages, { minPages }) => pages + minPages, 0), 0);

const handlerOf = (plan: Plan, name: string): string => {
  const handler = plan.exports.find((exported) => exported.interface.startsWith('wasi:http/incoming-handler@'));
  if (!handler) throw new Problem('module-invalid', `cannot run "${name}": its component does not export wasi:http/incoming-handler`);
  return handler.interface;
};

const failureOf = ({ ended }: Outcome): RunFailure | undefined =>
  ended && { problem: new Problem(ended.code, ended.message), backtrace: ended.stack, exited: ended.exit === 'ok' };

/**
 * Runs wasi:http 0.2 components in instances of this thread.
 * @throws Problem if the component cannot be linked
 */
export const createPoolRunner = ({ function: name, artifact, grant, limits, mode }: PoolRunnerOptions): PoolRunner => {
  const handler = handlerOf(artifact.plan, name);
  const pool = new InstancePool({
    plan: artifact.plan,
    modules: artifact.modules,
    interfaces: hostInterfaces,
    grant,
    limits: { memoryPages: limits.memoryMib * pagesPerMib, cpuMs: limits.cpuMs },
    initialPages: initialPages(artifact),
    mode,
    restorable: artifact.restorable,
    concurrency: limits.concurrency,
  });
  const names = pool.hostCallNames;

  const run = (request: GuestRequest, response: ResponseSink, ports: ExecutionPorts): Run => {
    const outparam = makeResponseOutparam(response, request.method);
    const running = pool.run(ports, { interface: handler, function: 'handle', parameters: [makeIncomingRequest(request), outparam] });
    const ended = running.done.then((outcome): RunEnd => {
      const { cpuUs, wallUs, memoryBytesPeak, memoryRefused, hostCalls } = outcome.meter;
      const meter = { cpuUs, wallUs, memoryBytesPeak, memoryRefused, hostCalls: { names, counts: hostCalls } };
      return { failure: failureOf(outcome), response: settle(outparam), meter, kept: outcome.kept, startedMs: outcome.startedMs };
    });
    return { ended, stop: (code, message) => running.stop(code, message) };
  };

  return {
    run,
    get instances() {
      const { idle, running } = pool.stats;
      return idle + running;
    },
    hostCallNames: names,
    prepare: (ports) => pool.prepare(ports),
    sweep: (idleMs) => pool.sweep(idleMs),
    dropOldest: () => pool.dropOldest(),
    close: () => pool.close(),
  };
};
