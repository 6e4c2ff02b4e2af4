import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { WasiContext } from '../../host/wasi/context.ts';
import { beginTeardown } from '../../host/wasi/p2/index.ts';
import { nodesMax } from '../../host/wasi/p2/scratch.ts';
import { bytes, call, drop, errorOf, makeContext, makeGuest, text, type Value } from '../wasi/guest.ts';

/** From the text of wasi:filesystem/types, over the scratch directory. */

const create = 1;
const directoryOnly = 2;
const exclusive = 4;
const truncate = 8;
const read = 1;
const write = 2;
const mutate = 32;

function scratch(bytesMax = 1_000_000) {
  const context = makeContext({ scratch: true, scratchBytesMax: bytesMax });
  const [[root, name]] = call(context, 'wasi:filesystem/preopens', 'get-directories');
  assert.is(name, '/');
  return { root, ...files(context) };
}

function files(context: WasiContext) {
  const fs = (func: string, self: Value, ...parameters: Value[]) => call(context, 'wasi:filesystem/types', `[method]descriptor.${func}`, self, ...parameters);
  const open = (base: Value, path: string, openFlags = 0, flags = read) => fs('open-at', base, 0, path, openFlags, flags);
  const put = (base: Value, path: string, contents: string) => {
    const file = open(base, path, create | truncate, write);
    fs('write', file, bytes(contents), 0n);
    drop(context, 'wasi:filesystem/types', 'descriptor', file);
  };
  const cat = (base: Value, path: string) => text(fs('read', open(base, path), 65536n, 0n)[0]);
  const names = (base: Value) => {
    const entries = fs('read-directory', base);
    const found: string[] = [];
    for (;;) {
      const entry = call(context, 'wasi:filesystem/types', '[method]directory-entry-stream.read-directory-entry', entries);
      if (entry === undefined) return found;
      found.push(entry.type === 'directory' ? `${entry.name}/` : entry.name);
    }
  };
  const close = (file: Value) => drop(context, 'wasi:filesystem/types', 'descriptor', file);
  return { context, fs, open, put, cat, names, close };
}

test('preopens: none unless granted', () => {
  assert.equal(call(makeContext(), 'wasi:filesystem/preopens', 'get-directories'), []);
});

test('open-at: create, exclusive, truncate, directory', () => {
  const { root, fs, open, put, cat } = scratch();
  assert.is(errorOf(open(root, 'a')), 'no-entry');
  put(root, 'a', 'hello');
  assert.is(cat(root, 'a'), 'hello');
  assert.is(errorOf(open(root, 'a', create | exclusive, write)), 'exist');
  assert.is(errorOf(open(root, 'a', directoryOnly)), 'not-directory');
  open(root, 'a', truncate, write);
  assert.is(cat(root, 'a'), '');
  fs('create-directory-at', root, 'd');
  assert.is(errorOf(open(root, 'd', 0, write)), 'is-directory');
  assert.is(fs('get-type', open(root, 'd', directoryOnly)), 'directory');
  assert.is(errorOf(open(root, 'x', create | directoryOnly, read)), 'invalid');
});

test('open-at: a directory may be changed through its own descriptor', () => {
  const { root, fs, open, put } = scratch();
  fs('create-directory-at', root, 'd');
  put(root, 'd/a', 'x');
  const base = open(root, 'd', directoryOnly, read);
  assert.is(fs('get-flags', base), read | mutate);
  assert.is(fs('unlink-file-at', base, 'a'), undefined);
  assert.is(fs('get-type', open(base, 'b', create, write)), 'regular-file');
});

test('paths: cannot leave their base', () => {
  const { root, fs, open, put } = scratch();
  fs('create-directory-at', root, 'd');
  put(root, 'top', 'x');
  const base = open(root, 'd', directoryOnly, read | mutate);
  for (const path of ['/', '/top', '..', '../top', 'a/../../top', './../top', 'x/../..']) {
    const code = errorOf(open(base, path));
    assert.ok(code === 'not-permitted' || code === 'no-entry', `${path}: ${code}`);
  }
  assert.is(errorOf(open(base, '../top')), 'not-permitted');
  assert.is(errorOf(open(root, '/etc/passwd')), 'not-permitted');
  assert.is(fs('get-type', open(root, 'd/../top')), 'regular-file');
  assert.is(fs('get-type', open(root, './/d/.', 0, read)), 'directory');
  assert.is(errorOf(open(root, 'nowhere/../top')), 'no-entry');
  assert.is(errorOf(open(root, 'top/../top')), 'not-directory');
});

test('paths: odd names', () => {
  const { root, open, put, cat } = scratch();
  assert.is(errorOf(open(root, '')), 'no-entry');
  assert.is(errorOf(open(root, 'a\0b', create, write)), 'invalid');
  assert.is(errorOf(open(root, 'x'.repeat(300), create, write)), 'name-too-long');
  assert.is(errorOf(open(root, 'new/', create, write)), 'is-directory');
  for (const name of ['__proto__', 'constructor', '\u{1f600}', ' ', '...']) {
    put(root, name, name);
    assert.is(cat(root, name), name);
  }
  assert.is(errorOf(open(root, '__proto__/')), 'not-directory');
});

test('read: up to length bytes, and whether the end was reached', () => {
  const { root, fs, open, put } = scratch();
  put(root, 'a', 'hello');
  const file = open(root, 'a');
  const readAt = (length: bigint, offset: bigint) => {
    const [chunk, end] = fs('read', file, length, offset);
    return [text(chunk), end];
  };
  assert.equal(readAt(3n, 0n), ['hel', false]);
  assert.equal(readAt(3n, 3n), ['lo', true]);
  assert.equal(readAt(3n, 99n), ['', true]);
  assert.is(errorOf(fs('write', file, bytes('x'), 0n)), 'bad-descriptor');
  assert.is(errorOf(fs('read', root, 1n, 0n)), 'bad-descriptor');
});

test('write: past the end fills with zeros', () => {
  const { root, fs, open, cat } = scratch();
  const file = open(root, 'a', create, write);
  assert.is(fs('write', file, bytes('x'), 3n), 1);
  assert.is(cat(root, 'a'), '\0\0\0x');
  assert.is(errorOf(fs('read', file, 1n, 0n)), 'bad-descriptor');
});

test('set-size: cuts, and grows with zeros even over old contents', () => {
  const { root, fs, open, cat } = scratch();
  const file = open(root, 'a', create, write | read);
  fs('write', file, bytes('hello'), 0n);
  fs('set-size', file, 2n);
  fs('set-size', file, 4n);
  assert.is(cat(root, 'a'), 'he\0\0');
  assert.is(Number(fs('stat', file).size), 4);
});

test('streams: several on one file do not interfere', () => {
  const { root, fs, open, put, cat, context } = scratch();
  const { streams } = makeGuest(context);
  put(root, 'a', 'hello');
  const file = open(root, 'a', 0, read | write);
  const one = fs('read-via-stream', file, 0n);
  const two = fs('read-via-stream', file, 3n);
  assert.is(text(streams('[method]input-stream.blocking-read', one, 2n)), 'he');
  assert.is(text(streams('[method]input-stream.read', two, 9n)), 'lo');
  assert.equal(errorOf(streams('[method]input-stream.read', two, 9n)), { tag: 'closed' });
  const writer = fs('write-via-stream', file, 1n);
  streams('[method]output-stream.blocking-write-and-flush', writer, bytes('a'));
  streams('[method]output-stream.blocking-write-and-flush', writer, bytes('b'));
  const appender = fs('append-via-stream', file);
  streams('[method]output-stream.blocking-write-and-flush', appender, bytes('!'));
  assert.is(cat(root, 'a'), 'hablo!');
  assert.is(text(streams('[method]input-stream.read', one, 9n)), 'blo!');
});

test('streams: a full directory is an error that filesystem-error-code knows', () => {
  const { root, fs, open, context } = scratch(3000);
  const { streams } = makeGuest(context);
  const writer = fs('append-via-stream', open(root, 'a', create, write));
  assert.is(streams('[method]output-stream.blocking-write-and-flush', writer, new Uint8Array(2000)), undefined);
  const error = errorOf(streams('[method]output-stream.blocking-write-and-flush', writer, new Uint8Array(2000)));
  assert.is(error.tag, 'last-operation-failed');
  assert.is(call(context, 'wasi:filesystem/types', 'filesystem-error-code', error.val), 'insufficient-space');
  assert.is(call(context, 'wasi:http/types', 'http-error-code', error.val), undefined);
});

test('limits: bytes and number of files are bounded, and freed by unlink and close', () => {
  const { root, fs, open, put, close } = scratch(2_000_000);
  const file = open(root, 'big', create, write);
  assert.is(errorOf(fs('set-size', file, 2_000_001n)), 'insufficient-space');
  assert.is(errorOf(fs('set-size', file, 0xffff_ffff_ffff_ffffn)), 'file-too-large');
  assert.is(errorOf(fs('write', file, bytes('x'), 2_000_000n)), 'insufficient-space');
  fs('set-size', file, 1_900_000n);
  fs('unlink-file-at', root, 'big');
  assert.is(errorOf(fs('set-size', open(root, 'next', create, write), 1_900_000n)), 'insufficient-space');
  close(file);
  assert.is(fs('set-size', open(root, 'next', create, write), 1_900_000n), undefined);
  fs('unlink-file-at', root, 'next');
  let refused = '';
  for (let i = 0; i < nodesMax + 10 && refused === ''; i++) {
    const result = open(root, `f${i}`, create, write);
    if ('value' in result) refused = result.value;
    else close(result);
  }
  assert.is(refused, 'insufficient-space');
  fs('unlink-file-at', root, 'f0');
  put(root, 'again', 'x');
});

test('read-directory: all entries without . and .., each stream from the beginning', () => {
  const { root, fs, put, names } = scratch();
  fs('create-directory-at', root, 'd');
  put(root, 'a', '1');
  put(root, 'd/b', '2');
  assert.equal(names(root), ['d/', 'a']);
  assert.equal(names(root), ['d/', 'a']);
});

test('create-directory-at and remove-directory-at', () => {
  const { root, fs, put, open } = scratch();
  assert.is(fs('create-directory-at', root, 'd/'), undefined);
  assert.is(errorOf(fs('create-directory-at', root, 'd')), 'exist');
  assert.is(errorOf(fs('create-directory-at', root, 'x/y')), 'no-entry');
  put(root, 'd/a', '1');
  assert.is(errorOf(fs('remove-directory-at', root, 'd')), 'not-empty');
  assert.is(errorOf(fs('remove-directory-at', root, 'd/a')), 'not-directory');
  assert.is(errorOf(fs('remove-directory-at', root, '.')), 'invalid');
  fs('unlink-file-at', root, 'd/a');
  const held = open(root, 'd', directoryOnly, read | mutate);
  assert.is(fs('remove-directory-at', root, 'd'), undefined);
  assert.is(errorOf(open(held, 'ghost', create, write)), 'no-entry');
  assert.is(errorOf(fs('create-directory-at', held, 'ghost')), 'no-entry');
});

test('unlink-file-at: is-directory for a directory; an open file lives on', () => {
  const { root, fs, open, put, names } = scratch();
  fs('create-directory-at', root, 'd');
  assert.is(errorOf(fs('unlink-file-at', root, 'd')), 'is-directory');
  assert.is(errorOf(fs('unlink-file-at', root, 'x')), 'no-entry');
  put(root, 'a', 'hello');
  const file = open(root, 'a');
  fs('unlink-file-at', root, 'a');
  assert.equal(names(root), ['d/']);
  assert.is(text(fs('read', file, 9n, 0n)[0]), 'hello');
  assert.is(Number(fs('stat', file).linkCount), 0);
});

test('rename-at: moves, replaces, and refuses what POSIX refuses', () => {
  const { root, fs, put, cat, names } = scratch();
  fs('create-directory-at', root, 'd');
  fs('create-directory-at', root, 'e');
  put(root, 'a', '1');
  put(root, 'b', '2');
  assert.is(fs('rename-at', root, 'a', root, 'd/a'), undefined);
  assert.is(cat(root, 'd/a'), '1');
  fs('rename-at', root, 'b', root, 'd/a');
  assert.is(cat(root, 'd/a'), '2');
  assert.is(fs('rename-at', root, 'd/a', root, 'd/a'), undefined);
  assert.is(errorOf(fs('rename-at', root, 'none', root, 'x')), 'no-entry');
  assert.is(errorOf(fs('rename-at', root, 'd/a', root, 'e')), 'is-directory');
  assert.is(errorOf(fs('rename-at', root, 'e', root, 'd/a')), 'not-directory');
  assert.is(errorOf(fs('rename-at', root, 'e', root, 'd')), 'not-empty');
  assert.is(errorOf(fs('rename-at', root, 'd', root, 'd/inside')), 'invalid');
  assert.is(errorOf(fs('rename-at', root, '.', root, 'x')), 'busy');
  fs('rename-at', root, 'd', root, 'e');
  assert.equal(names(root), ['e/']);
  assert.is(cat(root, 'e/a'), '2');
});

test('links: are refused', () => {
  const { root, fs, put } = scratch();
  put(root, 'a', '1');
  assert.is(errorOf(fs('link-at', root, 0, 'a', root, 'b')), 'unsupported');
  assert.is(errorOf(fs('symlink-at', root, '/etc/passwd', 'b')), 'unsupported');
  assert.is(errorOf(fs('readlink-at', root, 'a')), 'invalid');
  assert.is(errorOf(fs('readlink-at', root, 'x')), 'no-entry');
});

test('stat and stat-at: type, size and times', () => {
  const { root, fs, open, put } = scratch();
  put(root, 'a', 'hello');
  const stat = fs('stat-at', root, 0, 'a');
  assert.is(stat.type, 'regular-file');
  assert.is(Number(stat.size), 5);
  assert.is(Number(stat.linkCount), 1);
  assert.ok(Math.abs(Number(stat.dataModificationTimestamp.seconds) - Date.now() / 1000) < 2);
  assert.is(fs('stat', root).type, 'directory');
  assert.is(errorOf(fs('stat-at', root, 0, 'x')), 'no-entry');
  const file = open(root, 'a', 0, write);
  fs('set-times', file, { tag: 'no-change' }, { tag: 'timestamp', val: { seconds: 5n, nanoseconds: 7 } });
  assert.equal(fs('stat', file).dataModificationTimestamp, { seconds: 5n, nanoseconds: 7 });
  fs('set-times-at', root, 0, 'a', { tag: 'now' }, { tag: 'timestamp', val: { seconds: 6n, nanoseconds: 0 } });
  assert.equal(fs('stat', file).dataModificationTimestamp, { seconds: 6n, nanoseconds: 0 });
  assert.is(errorOf(fs('set-times', file, { tag: 'now' }, { tag: 'timestamp', val: { seconds: 1n, nanoseconds: 1_000_000_000 } })), 'invalid');
});

test('is-same-object and metadata-hash: tell objects and changes apart', () => {
  const { root, fs, open, put } = scratch();
  put(root, 'a', '1');
  put(root, 'b', '1');
  const a = open(root, 'a', 0, read | write);
  assert.is(fs('is-same-object', a, open(root, 'a')), true);
  assert.is(fs('is-same-object', a, open(root, 'b')), false);
  const before = fs('metadata-hash', a);
  assert.equal(fs('metadata-hash-at', root, 0, 'a'), before);
  assert.not.equal(fs('metadata-hash-at', root, 0, 'b'), before);
  fs('write', a, bytes('22'), 0n);
  assert.not.equal(fs('metadata-hash', a), before);
});

test('get-flags, advise, sync, sync-data', () => {
  const { root, fs, open } = scratch();
  const file = open(root, 'a', create, read | write | mutate);
  assert.is(fs('get-flags', file), read | write);
  assert.is(fs('get-flags', root), read | mutate);
  for (const func of ['sync', 'sync-data']) assert.is(fs(func, file), undefined);
  assert.is(fs('advise', file, 0n, 0n, 'normal'), undefined);
});

test('scratch: empty at the start of each execution, also for a root taken before', () => {
  const { root, put, names, context } = scratch();
  put(root, 'a', '1');
  beginTeardown(context);
  context.local.clear();
  assert.equal(names(root), []);
});

test('scratch: a file kept open over executions still counts', () => {
  const { root, fs, open, close, context } = scratch(100_000);
  const kept = open(root, 'a', create, write);
  fs('set-size', kept, 90_000n);
  beginTeardown(context);
  context.local.clear();
  assert.is(errorOf(fs('set-size', open(root, 'b', create, write), 90_000n)), 'insufficient-space');
  close(kept);
  assert.is(fs('set-size', open(root, 'b', create, write), 90_000n), undefined);
});

test.run();
