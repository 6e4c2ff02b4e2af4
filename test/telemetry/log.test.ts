import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ExecutionLog } from '../../host/telemetry/execution-log.ts';
import { LogBatch } from '../../host/telemetry/log-batch.ts';
import { LogHub } from '../../host/telemetry/log-hub.ts';
import { type LogRecord, recordBytes } from '../../host/telemetry/log-record.ts';
import { LogRing } from '../../host/telemetry/log-ring.ts';

const record = (text: string, name = 'orders', tenant = 'default'): LogRecord => ({
  at: 1,
  execution: 'e',
  tenant,
  function: name,
  version: 1,
  stream: 'stdout',
  text,
});
const texts = (records: readonly LogRecord[]): string[] => records.map(({ text }) => text);
const roomy = { linesMax: 100, bytesMax: 1_000_000 };

test('LogRing: keeps the latest lines within both limits', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ maxLength: 30 }), { maxLength: 60 }),
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 200, max: 2000 }),
      (lines, linesMax, bytesMax) => {
        const ring = new LogRing({ linesMax, bytesMax });
        for (const line of lines) ring.push(record(line));
        const kept = ring.read();
        assert.equal(texts(kept), lines.slice(lines.length - kept.length));
        assert.ok(kept.length <= linesMax && kept.reduce((sum, item) => sum + recordBytes(item), 0) <= bytesMax);
        const oneMore = lines[lines.length - kept.length - 1];
        if (oneMore !== undefined && kept.length < linesMax) assert.ok(ring.bytes + recordBytes(record(oneMore)) > bytesMax);
      },
    ),
    { numRuns: 300 },
  );
});

test('LogRing: reads the last, or what came after a number', () => {
  const ring = new LogRing({ linesMax: 5, bytesMax: 1_000_000 });
  for (let i = 1; i <= 8; i++) ring.push(record(`line ${i}`));
  assert.equal(texts(ring.read({ count: 2 })), ['line 7', 'line 8']);
  assert.equal(texts(ring.read({ after: 6 })), ['line 7', 'line 8']);
  assert.equal(texts(ring.read({ after: 2, count: 1 })), ['line 8']);
  assert.equal(ring.read({ after: 8 }), []);
  assert.equal(ring.read()[0]?.sequence, 4);
});

test('LogRing: a follower sees each new record until it leaves', () => {
  const ring = new LogRing(roomy);
  const seen: string[] = [];
  ring.push(record('before'));
  const leave = ring.follow(({ text }) => seen.push(text));
  ring.push(record('during'));
  leave();
  ring.push(record('after'));
  assert.equal(seen, ['during']);
});

test("LogHub: tenants and functions do not see one another's lines", () => {
  const hub = new LogHub(roomy, 1_000_000);
  hub.push(record('mine', 'orders', 'acme'));
  hub.push(record('theirs', 'orders', 'other'));
  assert.equal(texts(hub.read('acme', 'orders')), ['mine']);
  assert.equal(hub.read('acme', 'absent'), []);
});

test('LogHub: a function that is removed and made again starts with an empty log', () => {
  const hub = new LogHub(roomy, 1_000_000);
  hub.push(record('old'));
  hub.remove('default', 'orders');
  hub.push(record('new'));
  assert.equal(texts(hub.read('default', 'orders')), ['new']);
});

test('LogHub: when all are too large, the function that was longest silent loses its lines', () => {
  const line = record('x'.repeat(100));
  const hub = new LogHub(roomy, recordBytes(line) * 3);
  for (const name of ['a', 'b', 'c', 'a', 'd']) hub.push({ ...line, function: name });
  assert.equal(
    ['a', 'b', 'c', 'd'].map((name) => hub.read('default', name).length),
    [2, 0, 0, 1],
  );
});

test('LogBatch: hands records on together, and a flood loses its oldest lines and says so', async () => {
  const posted: { records: LogRecord[]; dropped: number }[] = [];
  const batch = new LogBatch((records, dropped) => posted.push({ records, dropped }), { linesMax: 3, bytesMax: 1_000_000 }, 5);
  for (let i = 1; i <= 10; i++) batch.push(record(`line ${i}`));
  batch.push(record('quiet', 'other'));
  assert.is(posted.length, 0);
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.is(posted.length, 1);
  assert.equal(texts(posted[0]?.records ?? []), ['7 lines dropped: the function logs too fast', 'line 8', 'line 9', 'line 10', 'quiet']);
  assert.is(posted[0]?.dropped, 7);
  batch.push(record('last'));
  batch.close();
  assert.equal(texts(posted[1]?.records ?? []), ['last']);
});

test('ExecutionLog: joins lines of each stream and splits messages', () => {
  const records: LogRecord[] = [];
  const log = new ExecutionLog(
    { execution: 'e1', tenant: 'acme', function: 'orders', version: 3 },
    (item) => records.push(item),
    () => 42,
  );
  log.write('stdout', Buffer.from('half '));
  log.write('stderr', Buffer.from('warning\n'));
  log.write('stdout', Buffer.from('line\nrest'));
  log.record('info', 'shop', 'two\nlines');
  log.note('error', 'trap');
  log.end();
  assert.equal(
    records.map(({ stream, level, text }) => [stream, level, text]),
    [
      ['stderr', undefined, 'warning'],
      ['stdout', undefined, 'half line'],
      ['log', 'info', 'shop: two'],
      ['log', 'info', 'lines'],
      ['node', 'error', 'trap'],
      ['stdout', undefined, 'rest'],
    ],
  );
  assert.equal(records[0], { at: 42, execution: 'e1', tenant: 'acme', function: 'orders', version: 3, stream: 'stderr', text: 'warning' });
});

test('ExecutionLog: a message without end is cut', () => {
  const records: LogRecord[] = [];
  const log = new ExecutionLog({ execution: 'e', tenant: 't', function: 'f', version: 1 }, (item) => records.push(item));
  log.record('info', '', 'x'.repeat(5_000_000));
  assert.is(records.length, 1);
  assert.ok((records[0]?.text.length ?? 0) < 17_000);
});

test.run();
