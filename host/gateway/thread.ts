/**
 * A gateway thread: takes requests, runs functions, answers. Begins when the supervisor starts it; ends with `stop`.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Problem } from '../base/errors.ts';
import { gathering } from '../base/gathering.ts';
import { connectKeyValue } from '../capability/keyvalue-channel.ts';
import { connectObjects } from '../capability/object-client.ts';
import { createOutboundHttp } from '../capability/outbound-http.ts';
import { SharedClient } from '../capability/shared-client.ts';
import { saveCode } from '../config/code-cache.ts';
import type { RouteTable } from '../deploy/route-table.ts';
import type { Execution } from '../execution/execution.ts';
import type { FunctionExecutor, ThreadLoad } from '../execution/executor.ts';
import { ExecutionIds } from '../execution/id.ts';
import { ThreadClaims } from '../execution/key-claims.ts';
import { IsolateDirectory } from '../fleet/directory.ts';
import { RecordedCopy } from '../sidecar/recorded.ts';
import { openStoreReader } from '../store/lmdb/store.ts';
import { LogBatch } from '../telemetry/log-batch.ts';
import { Metrics, statusClass } from '../telemetry/metrics.ts';
import { createGatewayApp, type GatewayApp } from './app.ts';
import { Debugging } from './debugging.ts';
import { Deferring } from './deferring.ts';
import { Failing } from './failing.ts';
import { Functions } from './functions.ts';
import { Guarding } from './guarding.ts';
import { LentExecutors } from './lent.ts';
import { createHttp1Listener } from './listener.ts';
import { ModuleLoader } from './module-loader.ts';
import type { FromGateway, GatewaySettings, ToGateway } from './protocol.ts';
import { Spilling } from './spilling.ts';
import { StoredRunning } from './stored-running.ts';

/** Batches of logs on their way to the supervisor; more are dropped. */
const logBatchesMax = 8;
/** Modules that are loaded before anybody asks, when a route table brings them. */
const preloadedMax = 64;
const preloadedAtOnce = 2;
const sweepMs = 1000;

const settings = workerData as GatewaySettings;
const port = parentPort;
if (!port) throw new Error('a gateway is started as a worker thread');
const post = (message: FromGateway): void => port.postMessage(message);
/** For what there is much of, and may come at the end of the turn. */
const postSoon = gathering<FromGateway>((messages) => post(messages.length === 1 ? (messages[0] as FromGateway) : { kind: 'several', messages }));

const metrics = new Metrics();
const thread: ThreadLoad = { executions: 0, executionsMax: settings.executionsMax };
const loader = new ModuleLoader(post);
const outbound = createOutboundHttp({ reservedPorts: settings.reservedPorts });
outbound.prepare();
const objects = settings.objects && connectObjects(settings.objects, openStoreReader);
const keyvalue = settings.keyvalue && connectKeyValue(settings.keyvalue, openStoreReader);
const shared = settings.shared && new SharedClient(settings.shared);

let logBatches = 0;
const postLogs: ConstructorParameters<typeof LogBatch>[0] = (records, dropped) => {
  if (logBatches >= logBatchesMax) {
    metrics.logLinesDropped.add('', records.length + dropped);
    return;
  }
  logBatches++;
  post({ kind: 'logs', records, dropped });
};
const logs = new LogBatch(postLogs, settings.logLimits);

/** What was logged so far is to be known before what is told next; of many such at once some do not wait. */
const flushLogs = (): void => {
  if (logBatches < logBatchesMax / 2) logs.flush();
};

const countExecution = (execution: Execution): void => {
  metrics.executions.add(execution.code ?? 'ok');
  metrics.requests.add(statusClass(execution.status));
  metrics.requestSeconds.observe(execution.tookMs / 1000);
  metrics.executionCpuSeconds.add('', execution.meter.cpuUs / 1e6);
  metrics.placements.add(execution.place ? String(execution.place.rung) : execution.fleet === 'resident' ? 'resident' : 'none');
  metrics.loads.add(execution.place?.load ?? execution.load);
  if (execution.bytesIn > 0) metrics.bodyBytes.add('in', execution.bytesIn);
  if (execution.bytesOut > 0) metrics.bodyBytes.add('out', execution.bytesOut);
};

const ids = new ExecutionIds(settings.id);
const isolates = new IsolateDirectory(settings.cells, post);

let recorded: RecordedCopy | undefined;

const functions = new Functions({
  isolates,
  sampleEvery: settings.sampleEvery,
  measured: settings.measured,
  ids,
  loader,
  outbound,
  keyvalue,
  recorded: () => {
    if (settings.recorded !== undefined) recorded ??= new RecordedCopy(settings.recorded);
    return recorded;
  },
  objects,
  shared,
  load: thread,
  pushLog: (record) => {
    metrics.logLines.add(record.stream);
    logs.push(record);
  },
  onEnd: countExecution,
});

const lent = new LentExecutors((version) => functions.lend(version));
const debugging = new Debugging({ post, lent });
const deferring = new Deferring({ post, ids });
const failing = new Failing(post, flushLogs);
const stored: StoredRunning = new StoredRunning({
  post: postSoon,
  id: settings.id,
  responseBytesMax: settings.responseBytesMax,
  executorOf: (key, version) => functions.serving(key) ?? (version && { version, executor: lent.executorOf(version) }),
  held: (execution) => guarding?.held(execution),
  spilling: objects && new Spilling(() => objects.put()),
  flushLogs,
});

const claims = new ThreadClaims(settings.claims, settings.id);
const guarding: Guarding | undefined = keyvalue && new Guarding({ post: postSoon, ids, store: () => keyvalue.store(), claims, stored });

let app: GatewayApp = createGatewayApp({ version: 0, functions: [], routes: [] }, () => undefined);
const listener = createHttp1Listener((incoming, outgoing, expectsContinue) => app(incoming, outgoing, expectsContinue), settings.timeMsMax);

const preload = async (executors: FunctionExecutor[]): Promise<void> => {
  const waiting = executors.slice(0, preloadedMax);
  const loadNext = async (): Promise<void> => {
    for (let executor = waiting.shift(); executor; executor = waiting.shift()) await executor.preload().catch(() => undefined);
  };
  await Promise.all(Array.from({ length: preloadedAtOnce }, loadNext));
};

const route = (table: RouteTable): void => {
  const fresh = functions.begin(table);
  app = createGatewayApp(table, (key) => functions.executorOf(key), {
    debugging,
    deferring,
    failing,
    ...(objects && { objects }),
    ...(guarding && { guarding }),
  });
  functions.end(table);
  post({ kind: 'routing', version: table.version });
  void preload(fresh).then(() => post({ kind: 'loaded' }));
};

const listen = async (portWanted: number): Promise<void> => {
  try {
    post({ kind: 'listening', port: await listener.listen({ host: settings.host, port: portWanted, reusePort: settings.reusePort }) });
  } catch (error) {
    const problem = error instanceof Problem ? error : new Problem('internal', String(error));
    post({ kind: 'not-listening', code: problem.code, message: problem.message });
  }
};

const count = (request: number): void => {
  const numbers = functions.numbers();
  metrics.executionsInFlight.set('', numbers.inFlight);
  metrics.instances.set('', numbers.instances);
  post({ kind: 'numbers', request, numbers: { ...numbers, metrics: metrics.snapshot() } });
};

const sweep = (): void => {
  lent.sweep();
  functions.sweep(settings.moduleIdleMs);
};
const sweeper = setInterval(sweep, Math.min(sweepMs, Math.max(50, settings.moduleIdleMs / 4)));

const tellUse = (): void => {
  const versions = functions.takeUse();
  if (versions.length > 0) post({ kind: 'use', versions });
  const records = functions.takeKept();
  if (records.length > 0) post({ kind: 'executions', records });
};
const usage = setInterval(tellUse, settings.useMs);

const stop = async (graceMs: number): Promise<void> => {
  const lastChanceMs = graceMs + 1000;
  const force = setTimeout(() => functions.stopAll(), graceMs);
  await listener.close(lastChanceMs);
  clearTimeout(force);
  clearInterval(sweeper);
  clearInterval(usage);
  guarding?.close();
  lent.close();
  tellUse();
  functions.stopAll();
  outbound.close();
  await keyvalue?.close();
  recorded?.close();
  await objects?.close();
  shared?.close();
  logs.close();
  post({ kind: 'stopped' });
  port.close();
};

const take = (message: ToGateway): void => {
  switch (message.kind) {
    case 'several':
      for (const one of message.messages) take(one);
      break;
    case 'routes':
      route(message.table);
      break;
    case 'listen':
      void listen(message.port);
      break;
    case 'artifact':
      loader.take(message.request, message.artifact, message.from);
      break;
    case 'artifact-refused':
      loader.refuse(message.request, message.code, message.message);
      break;
    case 'find':
      post({ kind: 'found', request: message.request, record: functions.find(message.execution) ?? null });
      break;
    case 'count':
      count(message.request);
      break;
    case 'debug-linked':
    case 'debug-refused':
      debugging.take(message);
      break;
    case 'ping':
      post({ kind: 'pong' });
      break;
    case 'logs-taken':
      logBatches--;
      break;
    case 'stop':
      void stop(message.graceMs);
      break;
    case 'deferred':
      deferring.take(message);
      break;
    case 'guarded':
      guarding?.take(message);
      break;
    case 'run-stored':
    case 'stop-stored':
      stored.take(message);
      break;
    default:
      isolates.take(message);
  }
};

port.on('message', take);
saveCode();
