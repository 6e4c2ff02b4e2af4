/**
 * An isolate: a thread that belongs to one tenant from `assign` to its end, and runs that tenant's functions for all
 * gateway threads. Begins tenant-less, with runtime and host interfaces loaded; ends with `drain`, or is terminated.
 */
import { createRequire } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';
import { moduleExtension } from '../base/module-extension.ts';
import { connectKeyValue } from '../capability/keyvalue-channel.ts';
import { connectObjects } from '../capability/object-client.ts';
import type { OutboundClient } from '../capability/outbound-http.ts';
import { SharedClient } from '../capability/shared-client.ts';
import type { CompiledArtifact } from '../instance/compiled.ts';
import { createPoolRunner, type PoolRunner } from '../instance/pool-runner.ts';
import type { MainChange } from '../instance/runner.ts';
import { SharedSidecars } from '../instance/shared-sidecars.ts';
import { RecordedCopy } from '../sidecar/recorded.ts';
import type { StoreReader } from '../store/store.ts';
import { ExecutionLog } from '../telemetry/execution-log.ts';
import { LogBatch } from '../telemetry/log-batch.ts';
import type { ExecutionPorts, OutboundHttp } from '../wasi/context.ts';
import { Activity } from './activity.ts';
import { IdleCells } from './holdings.ts';
import type { FromIsolate, Holding, IsolateSettings, ToIsolate } from './protocol.ts';
import type { Reach } from './served-run.ts';
import { Serving, type StartRun } from './serving.ts';

const port = parentPort;
if (!port) throw new Error('an isolate is started as a worker thread');
const post = (message: FromIsolate): void => port.postMessage(message);

const settings = workerData as IsolateSettings;
const cells = new IdleCells(settings.cells);

/** What only some versions need is loaded for the first that does: most isolates start faster without, and stay smaller. */
const load = createRequire(import.meta.url);
const openReader = (data: string): StoreReader =>
  (load(`../store/lmdb/store${moduleExtension}`) as typeof import('../store/lmdb/store.ts')).openStoreReader(data);
let client: OutboundClient | undefined;
const reach = (): OutboundClient => {
  const { createOutboundHttp } = load(`../capability/outbound-http${moduleExtension}`) as typeof import('../capability/outbound-http.ts');
  client ??= createOutboundHttp({ reservedPorts: settings.reservedPorts });
  return client;
};
const outbound: OutboundHttp = { send: (request) => reach().send(request) };
const objects = settings.objects && connectObjects(settings.objects, openReader);
const keyvalue = settings.keyvalue && connectKeyValue(settings.keyvalue, openReader);

let recorded: RecordedCopy | undefined;
const openRecorded = (): { recorded?: RecordedCopy } => {
  if (settings.recorded === undefined) return {};
  recorded ??= new RecordedCopy(settings.recorded);
  return { recorded };
};

const said = new LogBatch((records) => post({ kind: 'said', records }), { linesMax: 200, bytesMax: 256 * 1024 });
/** The log of a function, named as name@version, while none of its executions is under way. */
const logOf = (user: string): ExecutionLog => {
  const at = user.lastIndexOf('@');
  const origin = { execution: '', tenant: tenant ?? '', function: user.slice(0, at), version: Number(user.slice(at + 1)) };
  return new ExecutionLog(origin, (record) => said.push(record));
};

const reachable: Reach = { outbound, keyvalue, objects, shared: settings.shared && new SharedClient(settings.shared) };

let told = false;
/** Instances that executions share, told of once in a while. */
const sidecars = new SharedSidecars(() => {
  if (told) return;
  told = true;
  setTimeout(() => {
    told = false;
    post({ kind: 'sidecars', instances: sidecars.list() });
  }, sidecarsMs);
}, logOf);

/** `peakBytes`: most memory of a run that was told; of a composition, whose parts have memories of their own, none is. */
type Held = { function: string; artifact: CompiledArtifact; runner: PoolRunner; running: number; released: boolean; peakBytes: number };

/** Changes of shared sidecars are told together. */
const sidecarsMs = 10;
/** How often a draining isolate looks whether its last frames have been taken. */
const flushMs = 5;

const holdings = new Map<number, Held>();
const gateways = new Map<number, Serving>();
const activity = new Activity(post);
let tenant: string | undefined;
let running = 0;
let draining: MainChange | undefined;
let withholding = false;

const endIfDrained = (): void => {
  if (!draining || running > 0) return;
  if ([...gateways.values()].some((serving) => !serving.flushed)) {
    setTimeout(endIfDrained, flushMs);
    return;
  }
  for (const { runner } of holdings.values()) runner.close(draining);
  for (const serving of gateways.values()) serving.close();
  client?.close();
  recorded?.close();
  reachable.shared?.close();
  void Promise.all([sidecars.ended(), keyvalue?.close(), objects?.close()]).then(() => {
    activity.tell();
    said.close();
    post({ kind: 'drained' });
    port.close();
  });
};

/** Publishes an instance that came free, and tells of it; while the tenant's requests wait, the supervisor publishes it. */
const ended = (cell: number, held: Held, execution: string | undefined, kept: boolean): void => {
  running--;
  held.running--;
  const free = kept && !held.released;
  const withheld = free && withholding;
  if (free && !withheld) cells.give(cell);
  if (held.released && held.running === 0) holdings.delete(cell);
  if (execution === undefined) activity.ended(cell, free, withheld);
  else activity.endedPlaced({ cell, execution, kept: free, withheld });
  if (draining) setImmediate(endIfDrained);
};

const start: StartRun = (cell, placed, request, response, ports, onEnd) => {
  const held = holdings.get(cell);
  if (!held || held.released) return undefined;
  if (!placed) activity.took(cell);
  const run = held.runner.run(request, response, ports);
  running++;
  held.running++;
  run.ended.then((end) => {
    ports.shared?.release(!end.failure || end.failure.exited);
    if (end.meter.memoryBytesPeak > held.peakBytes) {
      held.peakBytes = end.meter.memoryBytesPeak;
      activity.peaked(cell, held.peakBytes);
    }
    ended(cell, held, placed ? ports.id : undefined, end.kept);
    onEnd(end);
  });
  return run;
};

const hold = (holding: Holding): void => {
  const { cell, grant } = holding;
  try {
    const artifact = typeof holding.artifact === 'number' ? holdings.get(holding.artifact)?.artifact : holding.artifact;
    if (!artifact) throw new Error(`the module of cell ${holding.artifact} is not here any more`);
    if (grant.objects && grant.objects.size > 0) objects?.reader.refresh();
    if (grant.keyvalue && grant.keyvalue.size > 0) keyvalue?.refresh();
    if (grant.outboundHosts.length > 0) reach().prepare();
    const linked = holding.composition ? { tenant: tenant ?? '', shared: sidecars, ...openRecorded() } : {};
    const runner = createPoolRunner({ ...holding, artifact, ...linked });
    const peakBytes = holding.composition ? Number.POSITIVE_INFINITY : 0;
    holdings.set(cell, { function: holding.function, artifact, runner, running: 0, released: false, peakBytes });
    post({ kind: 'held', cell, hostCallNames: runner.hostCallNames });
  } catch (error) {
    post({ kind: 'not-held', cell, message: error instanceof Error ? error.message : String(error) });
  }
};

const release = (cell: number): void => {
  const held = holdings.get(cell);
  if (!held) return;
  held.released = true;
  const replaced = [...holdings.values()].some((other) => other.function === held.function && !other.released);
  held.runner.close(replaced ? 'replaced' : 'draining');
  if (held.running === 0) holdings.delete(cell);
};

/** What an instance does before it has an execution concerns nobody's log. */
const unheard: ExecutionPorts = { id: '', log: { write: () => undefined, record: () => undefined }, outbound };

const prepare = async (cell: number, instances: number): Promise<void> => {
  const held = holdings.get(cell);
  let made = 0;
  for (let i = 0; i < instances && held && !held.released; i++) {
    if (!(await held.runner.prepare(unheard))) break;
    made++;
  }
  post({ kind: 'prepared', cell, instances: made, failed: instances - made });
  for (let i = 0; i < made; i++) cells.give(cell);
};

const assign = (name: string): void => {
  if (tenant !== undefined && tenant !== name) throw new Error(`cannot assign isolate ${settings.id} to ${name}: it belongs to ${tenant}`);
  tenant = name;
};

const disconnect = (gateway: number): void => {
  gateways.get(gateway)?.close();
  gateways.delete(gateway);
};

const take = (message: ToIsolate): void => {
  switch (message.kind) {
    case 'assign':
      assign(message.tenant);
      break;
    case 'hold':
      hold(message.holding);
      break;
    case 'release':
      release(message.cell);
      break;
    case 'replaced':
      holdings.get(message.cell)?.runner.replaced();
      break;
    case 'prepare':
      void prepare(message.cell, message.instances);
      break;
    case 'drop':
      holdings.get(message.cell)?.runner.dropOldest();
      break;
    case 'withhold':
      withholding = message.on;
      break;
    case 'connect':
      gateways.set(message.gateway, new Serving(message, start, reachable));
      break;
    case 'disconnect':
      disconnect(message.gateway);
      break;
    case 'ping':
      post({ kind: 'pong' });
      break;
    case 'drain':
      draining = message.suspended ? 'suspended' : 'draining';
      endIfDrained();
      break;
    default:
      message satisfies never;
  }
};

port.on('message', take);
post({ kind: 'warm' });
