import { Problem } from '../base/errors.ts';
import type { RecordedSettings } from '../sidecar/recorded.ts';
import type { ExecutionPorts, Grant, GuestRequest, ResponseSink } from '../wasi/context.ts';
import { fixRequest } from '../wasi/deterministic.ts';
import { hostInterfaces, makeIncomingRequest, makeResponseOutparam, settle } from '../wasi/p2/index.ts';
import { type CompiledArtifact, initialPages, pagesPerMib } from './compiled.ts';
import { type EnteredOptions, runEntered } from './entered-run.ts';
import { entriesOf, otherEntryFor } from './entry.ts';
import { createGroups, type Groups } from './groups.ts';
import type { CompiledComposition } from './parts.ts';
import { InstancePool, type Outcome } from './pool.ts';
import type { FunctionRunner, MainChange, Run, RunEnd, RunFailure } from './runner.ts';
import type { SharedSidecars } from './shared-sidecars.ts';

export type PoolRunnerOptions = {
  /** For messages. */
  function: string;
  artifact: CompiledArtifact;
  grant: Grant;
  limits: { memoryMib: number; cpuMs: number; concurrency: number };
  mode: 'pristine' | 'reuse';
  tenant?: string;
  version?: number;
  /** What sidecars recorded for later executions; default: of this runner alone. */
  recorded?: RecordedSettings | undefined;
  /** Those of the thread that executions share. */
  shared?: SharedSidecars;
  /** Sidecars that it is linked with. */
  composition?: CompiledComposition | undefined;
};

/** A runner whose idle instances are made and dropped one by one. */
export type PoolRunner = FunctionRunner & {
  /** Makes an idle instance; `ports` take what its initialisation logs. Resolves with whether it is there. */
  prepare(ports: ExecutionPorts): Promise<boolean>;
  /** Drops the instance that has been idle for longest, if there is one. */
  dropOldest(): void;
  /** Another version has taken over: shared sidecars are told. It may still be run. */
  replaced(): void;
  /** As of any runner; shared sidecars are told why. Default: `draining`. */
  close(why?: MainChange): void;
};

const failureOf = ({ ended }: Outcome): RunFailure | undefined =>
  ended && { problem: new Problem(ended.code, ended.message), backtrace: ended.stack, exited: ended.exit === 'ok' };

const endOf = (outcome: Outcome, names: readonly string[], response: RunEnd['response']): RunEnd => {
  const { cpuUs, wallUs, memoryBytesPeak, memoryRefused, hostCalls } = outcome.meter;
  const meter = { cpuUs, wallUs, memoryBytesPeak, memoryRefused, hostCalls: { names, counts: hostCalls } };
  const { kept, startedMs, sidecars, steps } = outcome;
  return { failure: failureOf(outcome), response, meter, kept, startedMs, sidecars, steps };
};

const poolOf = ({ artifact, grant, limits, mode }: PoolRunnerOptions, groups: Groups | undefined): InstancePool =>
  new InstancePool({
    plan: artifact.plan,
    modules: artifact.modules,
    interfaces: hostInterfaces,
    grant,
    limits: { memoryPages: limits.memoryMib * pagesPerMib, cpuMs: limits.cpuMs },
    initialPages: initialPages(artifact),
    mode,
    restorable: artifact.restorable,
    concurrency: limits.concurrency,
    ...(groups ? { make: groups.make } : {}),
  });

/**
 * Runs components that serve HTTP 0.2, handlers of messages and commands in instances of this thread.
 * @throws Problem if the component cannot be linked
 */
export const createPoolRunner = (options: PoolRunnerOptions): PoolRunner => {
  const { function: name, artifact, composition } = options;
  const entries = entriesOf(artifact.plan, name);
  const handler = entries.http ?? '';
  const groups = composition && createGroups({ ...options, composition });
  const pool = poolOf(options, groups);
  const names = pool.hostCallNames;
  const entered: EnteredOptions = { pool, entries, endOf: (outcome, response) => endOf(outcome, names, response) };
  let closed: MainChange | undefined;
  const releaseIfDone = (): void => {
    if (closed && pool.stats.running === 0) groups?.release(closed);
  };

  const run = (asked: GuestRequest, sink: ResponseSink, ports: ExecutionPorts): Run => {
    const request = options.grant.deterministic ? fixRequest(asked, ports) : asked;
    const other = otherEntryFor(entries, request);
    if (other) return runEntered(entered, other, request, sink, ports);
    const told = groups?.observe(request, sink, ports);
    const outparam = makeResponseOutparam(told ?? sink, request.method);
    const running = pool.run(ports, { interface: handler, function: 'handle', parameters: [makeIncomingRequest(request), outparam], told });
    const ended = running.done.then((outcome) => endOf(outcome, names, settle(outparam)));
    if (groups) void ended.then(releaseIfDone);
    return { ended, stop: (code, message) => running.stop(code, message) };
  };

  return {
    run,
    get instances() {
      return pool.stats.idle + pool.stats.running;
    },
    hostCallNames: names,
    prepare: (ports) => pool.prepare(ports),
    sweep: (idleMs) => pool.sweep(idleMs),
    dropOldest: () => pool.dropOldest(),
    replaced: () => groups?.changing('replaced'),
    close: (why: MainChange = 'draining') => {
      pool.close();
      closed = why;
      releaseIfDone();
    },
  };
};
