import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bytes, call, errorOf, makeContext, makeGuest } from '../wasi/guest.ts';

/** From the text of wasi:cli, wasi:config, wasi:logging, and wasi:sockets as far as it is offered. */

test('environment: the pairs of the grant, no arguments', () => {
  const context = makeContext({
    env: [
      ['A', '1'],
      ['__proto__', 'x'],
    ],
  });
  assert.equal(call(context, 'wasi:cli/environment', 'get-environment'), [
    ['A', '1'],
    ['__proto__', 'x'],
  ]);
  assert.equal(call(context, 'wasi:cli/environment', 'get-arguments'), []);
  assert.is(call(context, 'wasi:cli/environment', 'initial-cwd'), undefined);
});

test('exit: ends the execution with its status', () => {
  const context = makeContext();
  assert.throws(() => call(context, 'wasi:cli/exit', 'exit', { tag: 'ok' }));
  assert.throws(() => call(context, 'wasi:cli/exit', 'exit', { tag: 'err' }));
  assert.throws(() => call(context, 'wasi:cli/exit', 'exit-with-code', 0));
  assert.throws(() => call(context, 'wasi:cli/exit', 'exit-with-code', 3));
  assert.equal(context.exits, [true, false, true, false]);
});

test('stdin: at its end', () => {
  const context = makeContext();
  const stream = call(context, 'wasi:cli/stdin', 'get-stdin');
  assert.equal(errorOf(call(context, 'wasi:io/streams', '[method]input-stream.blocking-read', stream, 1n)), { tag: 'closed' });
});

test('stdout and stderr: go to the log of the execution that runs', () => {
  const context = makeContext();
  const { streams } = makeGuest(context);
  const stdout = call(context, 'wasi:cli/stdout', 'get-stdout');
  const stderr = call(context, 'wasi:cli/stderr', 'get-stderr');
  assert.is(streams('[method]output-stream.blocking-write-and-flush', stdout, bytes('out')), undefined);
  streams('[method]output-stream.check-write', stderr);
  streams('[method]output-stream.write', stderr, bytes('err'));
  assert.equal(context.lines, [
    { stream: 'stdout', text: 'out' },
    { stream: 'stderr', text: 'err' },
  ]);
  const later = makeContext();
  context.execution = later.execution;
  streams.drop('output-stream', stdout);
  streams('[method]output-stream.blocking-write-and-flush', stdout, bytes('next'));
  assert.equal(later.lines, [{ stream: 'stdout', text: 'next' }]);
});

test('terminals: there are none', () => {
  const context = makeContext();
  for (const name of ['stdin', 'stdout', 'stderr']) assert.is(call(context, `wasi:cli/terminal-${name}`, `get-terminal-${name}`), undefined);
});

test('config: get and get-all, under both names of the interface', () => {
  const context = makeContext({
    config: new Map([
      ['A', '1'],
      ['B', '2'],
    ]),
  });
  for (const name of ['wasi:config/store', 'wasi:config/runtime']) {
    assert.is(call(context, name, 'get', 'A'), '1');
    assert.is(call(context, name, 'get', 'toString'), undefined);
    assert.equal(call(context, name, 'get-all'), [
      ['A', '1'],
      ['B', '2'],
    ]);
  }
});

test('log: keeps level, context and message', () => {
  const context = makeContext();
  call(context, 'wasi:logging/logging', 'log', 'warn', 'orders', 'slow');
  assert.equal(context.lines, [{ stream: 'warn', text: 'orders: slow' }]);
});

test('sockets: every attempt is refused with access-denied', () => {
  const context = makeContext();
  const network = call(context, 'wasi:sockets/instance-network', 'instance-network');
  assert.is(errorOf(call(context, 'wasi:sockets/tcp-create-socket', 'create-tcp-socket', 'ipv4')), 'access-denied');
  assert.is(errorOf(call(context, 'wasi:sockets/udp-create-socket', 'create-udp-socket', 'ipv6')), 'access-denied');
  assert.is(errorOf(call(context, 'wasi:sockets/ip-name-lookup', 'resolve-addresses', network, 'example.com')), 'access-denied');
});

test.run();
