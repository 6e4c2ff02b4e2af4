import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InputStream } from '../../host/wasi/p2/input-stream.ts';
import { OutputStream } from '../../host/wasi/p2/output-stream.ts';
import { bytes, errorOf, makeContext, makeGuest, pause, text, type Value } from '../wasi/guest.ts';
import { TestSink, TestSource } from '../wasi/ports.ts';

/** From the text of wasi:io/streams, wasi:io/poll and wasi:io/error. */

const { streams, poll, clock, context } = makeGuest(makeContext());
const input = (source: TestSource) => new InputStream(source, null);
const output = (sink: TestSink) => new OutputStream(sink, null);
const isClosed = (result: Value) => assert.equal(errorOf(result), { tag: 'closed' });
const failure = (result: Value): Value => {
  const error = errorOf(result);
  assert.is(error.tag, 'last-operation-failed');
  return error.val;
};
const settled = async (promise: Promise<unknown>) => Promise.race([promise.then(() => true), pause(20).then(() => false)]);

test('read: returns up to len bytes, empty when none are available', () => {
  const source = new TestSource(bytes('hello'));
  const stream = input(source);
  assert.is(text(streams('[method]input-stream.read', stream, 3n)), 'hel');
  assert.is(text(streams('[method]input-stream.read', stream, 0xffff_ffff_ffff_ffffn)), 'lo');
  assert.is(streams('[method]input-stream.read', stream, 10n).length, 0);
});

test('read: closed at the end, and ever after', () => {
  const stream = input(new TestSource(bytes('x')).end());
  streams('[method]input-stream.read', stream, 10n);
  isClosed(streams('[method]input-stream.read', stream, 10n));
  isClosed(streams('[method]input-stream.blocking-read', stream, 10n));
});

test('read: an error is last-operation-failed once, then closed', () => {
  const stream = input(new TestSource().fail('connection-terminated', 'why'));
  const error = failure(streams('[method]input-stream.read', stream, 10n));
  assert.is(makeGuest(context).http('http-error-code', error).tag, 'connection-terminated');
  isClosed(streams('[method]input-stream.read', stream, 10n));
});

test('read: a len of 0 gives an empty list while the stream is open and closed afterwards', () => {
  const stream = input(new TestSource().end());
  assert.is(streams('[method]input-stream.read', stream, 0n).length, 0);
  isClosed(streams('[method]input-stream.read', stream, 1n));
  isClosed(streams('[method]input-stream.read', stream, 0n));
});

test('blocking-read: does not wait if there is something, else until at least one byte can be read', async () => {
  const source = new TestSource(bytes('a'));
  const stream = input(source);
  assert.is(text(streams('[method]input-stream.blocking-read', stream, 10n)), 'a');
  const promise = streams('[method]input-stream.blocking-read', stream, 10n);
  assert.is(await settled(promise), false);
  source.push(bytes('later'));
  assert.is(text(await promise), 'later');
});

test('blocking-read: the end and an error end the wait', async () => {
  const source = new TestSource();
  const promise = streams('[method]input-stream.blocking-read', input(source), 10n);
  source.end();
  isClosed(await promise);
  const broken = new TestSource();
  const other = streams('[method]input-stream.blocking-read', input(broken), 10n);
  broken.fail('connection-terminated');
  failure(await other);
});

test('skip and blocking-skip: give the number of bytes consumed', async () => {
  const source = new TestSource(bytes('hello'));
  const stream = input(source);
  assert.is(streams('[method]input-stream.skip', stream, 2n), 2);
  assert.is(streams('[method]input-stream.blocking-skip', stream, 2n), 2);
  assert.is(text(streams('[method]input-stream.read', stream, 9n)), 'o');
  const promise = streams('[method]input-stream.blocking-skip', stream, 9n);
  source.push(bytes('xyz'));
  assert.is(await promise, 3);
  source.end();
  isClosed(streams('[method]input-stream.skip', stream, 1n));
});

test('input-stream.subscribe: ready once bytes are available or the other end closed', async () => {
  const source = new TestSource();
  const stream = input(source);
  const pollable = streams('[method]input-stream.subscribe', stream);
  assert.is(poll('[method]pollable.ready', pollable), false);
  const blocked = poll('[method]pollable.block', pollable);
  source.push(bytes('x'));
  await blocked;
  assert.is(poll('[method]pollable.ready', pollable), true);
  streams('[method]input-stream.read', stream, 9n);
  assert.is(poll('[method]pollable.ready', pollable), false);
  source.end();
  assert.is(poll('[method]pollable.ready', pollable), true);
});

test('subscribe: dropping a stream before its pollables traps', () => {
  const reader = input(new TestSource());
  const writer = output(new TestSink());
  for (const [resource, stream] of [
    ['input-stream', reader],
    ['output-stream', writer],
  ] as const) {
    const pollable = streams(`[method]${resource}.subscribe`, stream);
    assert.throws(() => streams.drop(resource, stream), /children/);
    poll.drop('pollable', pollable);
    streams.drop(resource, stream);
  }
});

test('check-write and write: write at most what was permitted', () => {
  const sink = new TestSink(10);
  const stream = output(sink);
  assert.throws(() => streams('[method]output-stream.write', stream, bytes('x')), /permitted 0/);
  assert.is(streams('[method]output-stream.check-write', stream), 10);
  assert.throws(() => streams('[method]output-stream.write', stream, bytes('12345678901')), /permitted 10/);
  assert.is(streams('[method]output-stream.write', stream, bytes('1234')), undefined);
  assert.is(streams('[method]output-stream.check-write', stream), 6);
  assert.is(sink.received, '1234');
});

test('check-write: 0 when full; its pollable is ready when it reports at least 1 byte', async () => {
  const sink = new TestSink(4);
  const stream = output(sink);
  streams('[method]output-stream.check-write', stream);
  streams('[method]output-stream.write', stream, bytes('full'));
  assert.is(streams('[method]output-stream.check-write', stream), 0);
  const pollable = streams('[method]output-stream.subscribe', stream);
  const blocked = poll('[method]pollable.block', pollable);
  assert.is(await settled(blocked), false);
  sink.drain();
  await blocked;
  assert.is(streams('[method]output-stream.check-write', stream), 4);
});

test('check-write: an error closes the stream and makes its pollable ready', () => {
  const sink = new TestSink(4);
  const stream = output(sink);
  const pollable = streams('[method]output-stream.subscribe', stream);
  sink.break('connection-terminated');
  assert.is(poll('[method]pollable.ready', pollable), true);
  failure(streams('[method]output-stream.check-write', stream));
  isClosed(streams('[method]output-stream.check-write', stream));
  isClosed(streams('[method]output-stream.flush', stream));
  isClosed(streams('[method]output-stream.blocking-write-and-flush', stream, bytes('x')));
  assert.is(poll('[method]pollable.ready', pollable), true);
});

test('write: closed, without writing, if the stream closed since check-write gave a permit', () => {
  const sink = new TestSink(4);
  const stream = output(sink);
  streams('[method]output-stream.check-write', stream);
  sink.break('connection-terminated');
  failure(streams('[method]output-stream.write', stream, bytes('x')));
  isClosed(streams('[method]output-stream.write', stream, bytes('x')));
  assert.is(sink.received, '');
});

test('flush: no writes are accepted until it has completed', async () => {
  const sink = new TestSink(10);
  const stream = output(sink);
  streams('[method]output-stream.check-write', stream);
  streams('[method]output-stream.write', stream, bytes('abc'));
  assert.is(streams('[method]output-stream.flush', stream), undefined);
  assert.is(streams('[method]output-stream.check-write', stream), 0);
  const pollable = streams('[method]output-stream.subscribe', stream);
  assert.is(poll('[method]pollable.ready', pollable), false);
  const blocked = poll('[method]pollable.block', pollable);
  sink.drain();
  await blocked;
  assert.is(streams('[method]output-stream.check-write', stream), 10);
});

test('blocking-flush: waits for the flush; at once if there is nothing to flush', async () => {
  const sink = new TestSink(10);
  const stream = output(sink);
  assert.is(streams('[method]output-stream.blocking-flush', stream), undefined);
  streams('[method]output-stream.check-write', stream);
  streams('[method]output-stream.write', stream, bytes('abc'));
  const promise = streams('[method]output-stream.blocking-flush', stream);
  assert.is(await settled(promise), false);
  sink.drain();
  assert.is(await promise, undefined);
});

test('blocking-write-and-flush: up to 4096 bytes, more traps', () => {
  const sink = new TestSink();
  const stream = output(sink);
  assert.is(streams('[method]output-stream.blocking-write-and-flush', stream, new Uint8Array(4096)), undefined);
  assert.throws(() => streams('[method]output-stream.blocking-write-and-flush', stream, new Uint8Array(4097)), /4096/);
  assert.is(sink.received.length, 4096);
});

test('blocking-write-and-flush: writes in pieces as the stream takes them, and waits for the flush', async () => {
  const sink = new TestSink(4);
  const promise = streams('[method]output-stream.blocking-write-and-flush', output(sink), bytes('hello world'));
  for (let i = 0; i < 3; i++) {
    assert.is(await settled(promise), false);
    sink.drain();
  }
  assert.is(await promise, undefined);
  assert.is(sink.received, 'hello world');
});

test('blocking-write-and-flush: an error during the wait is reported', async () => {
  const sink = new TestSink(4);
  const promise = streams('[method]output-stream.blocking-write-and-flush', output(sink), bytes('hello world'));
  await pause(1);
  sink.break('connection-terminated');
  failure(await promise);
});

test('write-zeroes: has the preconditions of write', () => {
  const sink = new TestSink(10);
  const stream = output(sink);
  assert.throws(() => streams('[method]output-stream.write-zeroes', stream, 1n), /permitted 0/);
  streams('[method]output-stream.check-write', stream);
  assert.throws(() => streams('[method]output-stream.write-zeroes', stream, 0xffff_ffff_ffff_ffffn), /permitted 10/);
  assert.is(streams('[method]output-stream.write-zeroes', stream, 3n), undefined);
  assert.is(sink.received, '\0\0\0');
});

test('blocking-write-zeroes-and-flush: up to 4096 zeroes, more traps', () => {
  const sink = new TestSink();
  assert.is(streams('[method]output-stream.blocking-write-zeroes-and-flush', output(sink), 5n), undefined);
  assert.is(sink.received, '\0\0\0\0\0');
  assert.throws(() => streams('[method]output-stream.blocking-write-zeroes-and-flush', output(sink), 4097n), /4096/);
});

test('splice: moves what one offers and the other takes, and reports the errors of either', () => {
  const sink = new TestSink(4);
  const stream = output(sink);
  const source = new TestSource(bytes('hello'));
  const reader = input(source);
  assert.is(streams('[method]output-stream.splice', stream, reader, 2n), 2);
  assert.is(streams('[method]output-stream.splice', stream, reader, 100n), 2);
  assert.is(streams('[method]output-stream.splice', stream, reader, 100n), 0);
  sink.drain();
  assert.is(streams('[method]output-stream.splice', stream, reader, 100n), 1);
  source.end();
  isClosed(streams('[method]output-stream.splice', stream, reader, 100n));
  assert.is(sink.received, 'hello');
  sink.break('connection-terminated');
  failure(streams('[method]output-stream.splice', stream, reader, 100n));
});

test('blocking-splice: waits until the one is writable and the other readable', async () => {
  const sink = new TestSink(4);
  const stream = output(sink);
  streams('[method]output-stream.check-write', stream);
  streams('[method]output-stream.write', stream, bytes('full'));
  const source = new TestSource();
  const promise = streams('[method]output-stream.blocking-splice', stream, input(source), 100n);
  sink.drain();
  assert.is(await settled(promise), false);
  source.push(bytes('abc'));
  assert.is(await promise, 3);
  assert.is(sink.received, 'fullabc');
});

test('poll: traps if the list is empty', () => {
  assert.throws(() => poll('poll', []), /empty/);
});

test('poll: returns the indexes of all that are ready, without waiting', () => {
  const never = streams('[method]input-stream.subscribe', input(new TestSource()));
  const ready = clock('subscribe-duration', 0n);
  assert.equal(poll('poll', [never, ready, never, ready]), [1, 3]);
});

test('poll: waits until one or more are ready; a timeout by a clock', async () => {
  const source = new TestSource();
  const never = streams('[method]input-stream.subscribe', input(source));
  assert.equal(await poll('poll', [never, clock('subscribe-duration', 5_000_000n)]), [1]);
  const promise = poll('poll', [never, clock('subscribe-duration', 10_000_000_000n)]);
  source.push(bytes('x'));
  assert.equal(await promise, [0]);
});

test('poll: the same pollable may stand in the list several times', async () => {
  const timer = clock('subscribe-duration', 2_000_000n);
  assert.equal(await poll('poll', [timer, timer]), [0, 1]);
});

test('poll: an error of a source makes it ready', async () => {
  const source = new TestSource();
  const promise = poll('poll', [streams('[method]input-stream.subscribe', input(source))]);
  source.fail('connection-terminated');
  assert.equal(await promise, [0]);
});

test('to-debug-string: gives a text', () => {
  const error = failure(streams('[method]input-stream.read', input(new TestSource().fail('DNS-timeout', 'no answer')), 1n));
  assert.is(makeGuest(context) && error.message, 'no answer');
});

test.run();
