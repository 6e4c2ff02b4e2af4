import type { ByteSource } from '../../host/base/stream.ts';
import type { DeployedVersion } from '../../host/deploy/route-table.ts';
import { IsolateDirectory } from '../../host/fleet/directory.ts';
import { FleetDriver } from '../../host/fleet/driver.ts';
import { IsolateRunner } from '../../host/fleet/isolate-runner.ts';
import type { CompileModule, MakeSettings } from '../../host/fleet/isolate-threads.ts';
import type { FleetToGateway } from '../../host/fleet/protocol.ts';
import type { Run, RunEnd } from '../../host/instance/runner.ts';
import { createPlacement } from '../../host/placement/core.ts';
import type { PlacementConfig, PlacementDecision } from '../../host/placement/model.ts';
import { Collector, load, ports } from '../instance/harness.ts';

export const config: PlacementConfig = {
  max: 4,
  slots: 2,
  idleMs: 60_000,
  instanceIdleMs: 60_000,
  whenFull: 'queue',
  // On a crowded machine a thread takes seconds to start.
  queueMs: 60_000,
  startTimeoutMs: 60_000,
  configurations: [{ name: 'standard', memoryMib: 128, bindings: '0.2', floor: 1, ceiling: 2 }],
};

export const version = (fixture: string, overrides: Partial<DeployedVersion> = {}): DeployedVersion => ({
  key: `t/${fixture}@1`,
  tenant: 't',
  function: fixture,
  version: 1,
  digest: fixture,
  limits: { memoryMib: 16, cpuMs: 500, timeMs: 5000, bodyMib: 1, concurrency: 100 },
  instance: 'pristine',
  env: [],
  config: [],
  outboundHosts: [],
  scratch: false,
  idleMs: 60_000,
  trust: 'shared',
  fleet: 'on-demand',
  fleetWanted: 'auto',
  prewarm: 0,
  whenExhausted: 'overflow',
  deferMaxMs: 0,
  ...overrides,
});

/** Fixtures by their names in place of digests. */
export const compileFixture: CompileModule = async (name) => {
  const { artifact, modules } = await load(name);
  const { plan, reports, restorable } = artifact;
  return { artifact: { plan, reports, restorable, modules }, from: 'prepared' };
};

export type Begun = { run: Run; collector: Collector; end: Promise<RunEnd> };

export type FleetKit = {
  driver: FleetDriver;
  directory: IsolateDirectory;
  decisions: PlacementDecision[];
  /** Begins a run of a version that was added. */
  begin(key: string, request?: { path?: string; body?: ByteSource; id?: string }): Begun;
  close(): Promise<void>;
};

const opened: FleetDriver[] = [];

/** Ends the isolates that a test which failed has left, so that its file ends. */
export const closeFleets = async (): Promise<void> => {
  for (const driver of opened) await driver.close();
};

/** A driver with real isolates, and one gateway's side of it, all in this thread. */
export const openFleet = (
  overrides: Partial<PlacementConfig> = {},
  compile: CompileModule = compileFixture,
  makeSettings: MakeSettings = () => ({ reservedPorts: [] }),
): FleetKit => {
  const decisions: PlacementDecision[] = [];
  const driver = new FleetDriver({
    placement: createPlacement({ ...config, ...overrides }),
    compile,
    makeSettings,
    onDecision: (decision) => decisions.push(decision),
    onSaid: () => undefined,
    onUse: () => undefined,
    onExecutions: () => undefined,
    log: { warn: () => undefined, error: () => undefined } as never,
  });
  const directory: IsolateDirectory = new IsolateDirectory(driver.cells, (message) => void setImmediate(() => driver.take(0, message)));
  driver.join(0, (message) => void setImmediate(() => directory.take(message as FleetToGateway)));
  driver.start();
  opened.push(driver);
  let executions = 0;
  return {
    driver,
    directory,
    decisions,
    begin: (key, { path = '/', body, id = `execution-${++executions}` } = {}) => {
      const collector = new Collector();
      const request = { method: body ? 'POST' : 'GET', scheme: 'http' as const, authority: 'a', pathWithQuery: path, headers: [], body: body ?? null };
      const run = new IsolateRunner(directory, key).run(request, collector, { ...ports(), id });
      return { run, collector, end: run.ended };
    },
    close: () => driver.close(),
  };
};

export const until = async (holds: () => boolean, what: string): Promise<void> => {
  const endMs = performance.now() + 60_000;
  while (!holds()) {
    if (performance.now() > endMs) throw new Error(`waited 60 s for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};
