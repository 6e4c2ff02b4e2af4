import { MessageChannel } from 'node:worker_threads';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { notRun, type RunEnd } from '../../host/instance/runner.ts';
import { IsolateClient } from '../../host/isolate/client.ts';
import { allocateRing } from '../../host/isolate/ring.ts';
import { Serving, type StartRun } from '../../host/isolate/serving.ts';
import { Collector, ports } from '../instance/harness.ts';
import { begin } from './harness.ts';

const outbound = { send: () => assert.unreachable() as never };
const huge = 'ü'.repeat(3 * 1024 * 1024);

/** Both sides of a channel in this thread; `start` is the guest. */
const connect = (start: StartRun): { client: IsolateClient; close: () => void } => {
  const { port1, port2 } = new MessageChannel();
  const [there, back] = [allocateRing(1 << 20), allocateRing(1 << 20)];
  const serving = new Serving({ incoming: there, outgoing: back, port: port2 }, start, {
    outbound,
    keyvalue: undefined,
    objects: undefined,
    shared: undefined,
  });
  const client = new IsolateClient(1, { incoming: back, outgoing: there, port: port1 });
  return {
    client,
    close: () => {
      client.lost();
      serving.close();
    },
  };
};

const requestTo = (pathWithQuery: string) => ({ method: 'GET', scheme: 'http' as const, authority: 'a', pathWithQuery, headers: [], body: null });

test('serving: texts of a guest that are larger than the ring hold up nobody', async () => {
  const guests: Record<string, (...run: Parameters<StartRun>) => RunEnd> = {
    '/log': (_cell, _placed, _request, _response, { log }) => {
      log.record('info', huge, huge);
      return notRun(undefined);
    },
    '/fail': (_cell, _placed, _request, response) => {
      response.fail('internal-error', huge);
      return { ...notRun(undefined), response: 'failed' };
    },
    '/trap': () => notRun({ problem: new Problem('guest-trap', huge), backtrace: huge, exited: false }),
    '/': (_cell, _placed, _request, response) => {
      response.respond(200, [['x-ü', Buffer.from('value')]]).finish();
      return { ...notRun(undefined), response: 'finished', kept: true };
    },
  };
  const { client, close } = connect((...run) => {
    const [, , request, , , onEnd] = run;
    const end = guests[request.pathWithQuery]?.(...run) ?? notRun(undefined);
    queueMicrotask(() => onEnd(end));
    return { stop: () => undefined };
  });
  const captured = { stdout: '', records: [] as string[] };
  const answers = await Promise.all(
    ['/log', '/fail', '/trap', '/'].map(async (path) => {
      const collector = new Collector();
      const end = await begin(client, 1, [], requestTo(path), collector, ports(captured)).ended;
      return { end, collector };
    }),
  );
  const [, failed, trapped, whole] = answers;
  assert.match(captured.records[0] ?? '', /^info .*… \(\d+ characters more\)$/);
  assert.match(failed?.collector.failed ?? '', /^internal-error: ü+… \(\d+ characters more\)$/);
  assert.is(trapped?.end.kind === 'ended' && trapped.end.end.failure?.problem.code, 'guest-trap');
  assert.equal([whole?.collector.status, whole?.collector.complete, whole?.collector.headers[0]?.[0]], [200, true, 'x-ü']);
  assert.is(client.inFlight, 0);
  close();
});

test('serving: the end of a run arrives with all that it had', async () => {
  const steps = { instantiatedMs: performance.now() };
  const meter = { cpuUs: 5_000_000_000, wallUs: 7, memoryBytesPeak: 2 ** 33, memoryRefused: true, hostCalls: { names: [], counts: [0, 3, 4_000_000_000] } };
  const end: RunEnd = { failure: undefined, response: 'finished', meter, kept: true, startedMs: performance.now(), sidecars: undefined, steps };
  const { client, close } = connect((_cell, _placed, _request, response, _ports, onEnd) => {
    response.respond(204, []).finish();
    queueMicrotask(() => onEnd(end));
    return { stop: () => undefined };
  });
  const ended = await begin(client, 1, ['a', 'b', 'c'], requestTo('/'), new Collector(), ports()).ended;
  assert.ok(ended.kind === 'ended');
  const { startedMs, steps: told, ...rest } = ended.end;
  assert.equal(rest, {
    failure: undefined,
    response: 'finished',
    meter: { ...meter, hostCalls: { names: ['a', 'b', 'c'], counts: meter.hostCalls.counts } },
    kept: true,
    sidecars: undefined,
  });
  assert.ok(Math.abs((startedMs ?? 0) - (end.startedMs ?? 0)) < 0.001 && Math.abs((told?.instantiatedMs ?? 0) - steps.instantiatedMs) < 0.001);
  close();
});

test.run();
