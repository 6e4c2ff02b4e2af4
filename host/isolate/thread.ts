/**
 * An isolate: a thread that belongs to one tenant from `assign` to its end, and runs that tenant's functions for all
 * gateway threads. Begins tenant-less, with runtime and host interfaces loaded; ends with `drain`, or is terminated.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { createOutboundHttp } from '../capability/outbound-http.ts';
import { createPoolRunner } from '../instance/pool-runner.ts';
import type { FunctionRunner, Run, RunEnd } from '../instance/runner.ts';
import type { ExecutionPorts, GuestRequest, ResponseSink } from '../wasi/context.ts';
import { IdleCells } from './holdings.ts';
import type { FromIsolate, Holding, IsolateSettings, ToIsolate } from './protocol.ts';
import { Serving } from './serving.ts';

const port = parentPort;
if (!port) throw new Error('an isolate is started as a worker thread');
const post = (message: FromIsolate): void => port.postMessage(message);

const settings = workerData as IsolateSettings;
const cells = new IdleCells(settings.cells);
const outbound = createOutboundHttp({ reservedPorts: settings.reservedPorts });

type Held = { runner: FunctionRunner; running: number; released: boolean };

/** How often a draining isolate looks whether its last frames have been taken. */
const flushMs = 5;

const holdings = new Map<number, Held>();
const gateways = new Map<number, Serving>();
let tenant: string | undefined;
let running = 0;
let draining = false;

const endIfDrained = (): void => {
  if (!draining || running > 0) return;
  if ([...gateways.values()].some((serving) => !serving.flushed)) {
    setTimeout(endIfDrained, flushMs);
    return;
  }
  for (const { runner } of holdings.values()) runner.close();
  for (const serving of gateways.values()) serving.close();
  void outbound.close().then(() => {
    post({ kind: 'drained' });
    port.close();
  });
};

const ended = (cell: number, held: Held, { kept }: RunEnd): void => {
  running--;
  held.running--;
  if (kept && !held.released) cells.give(cell);
  if (held.released && held.running === 0) holdings.delete(cell);
  post({ kind: 'ended', cell, kept });
  if (draining) setImmediate(endIfDrained);
};

const start = (cell: number, request: GuestRequest, response: ResponseSink, ports: ExecutionPorts): Run | undefined => {
  const held = holdings.get(cell);
  if (!held || held.released) return undefined;
  const run = held.runner.run(request, response, ports);
  running++;
  held.running++;
  const done = run.ended.then((end) => {
    ended(cell, held, end);
    return end;
  });
  return { ended: done, stop: run.stop };
};

const hold = ({ cell, function: name, artifact, grant, limits, mode }: Holding): void => {
  try {
    const runner = createPoolRunner({ function: name, artifact, grant, limits, mode });
    holdings.set(cell, { runner, running: 0, released: false });
    post({ kind: 'held', cell, hostCallNames: runner.hostCallNames });
  } catch (error) {
    post({ kind: 'not-held', cell, message: error instanceof Error ? error.message : String(error) });
  }
};

const release = (cell: number): void => {
  const held = holdings.get(cell);
  if (!held) return;
  held.released = true;
  held.runner.close();
  if (held.running === 0) holdings.delete(cell);
};

/** Drops idle instances one by one, each only after taking it, so that no gateway counts on it. */
const sweep = (cell: number, idleMs: number): void => {
  const held = holdings.get(cell);
  let dropped = 0;
  while (held && cells.take(cell)) {
    if (held.runner.sweep(idleMs, 1) === 0) {
      cells.give(cell);
      break;
    }
    dropped++;
  }
  post({ kind: 'swept', cell, dropped });
};

const assign = (name: string): void => {
  if (tenant !== undefined && tenant !== name) throw new Error(`cannot assign isolate ${settings.id} to ${name}: it belongs to ${tenant}`);
  tenant = name;
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
    case 'sweep':
      sweep(message.cell, message.idleMs);
      break;
    case 'connect':
      gateways.set(message.gateway, new Serving({ incoming: message.incoming, outgoing: message.outgoing, port: message.port }, start, outbound));
      break;
    case 'disconnect':
      gateways.get(message.gateway)?.close();
      gateways.delete(message.gateway);
      break;
    case 'ping':
      post({ kind: 'pong' });
      break;
    case 'drain':
      draining = true;
      endIfDrained();
      break;
    default:
      message satisfies never;
  }
};

port.on('message', take);
post({ kind: 'warm' });
