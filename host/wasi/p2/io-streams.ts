import type { HostInterface } from '../../component/host.ts';
import type { WasiContext } from '../context.ts';
import type { InputStream } from './input-stream.ts';
import type { OutputStream } from './output-stream.ts';
import { Pollable } from './pollable.ts';
import { assertChildless } from './resource.ts';

type C = WasiContext;

function skipped<E>(chunk: Uint8Array | E): number | E {
  return chunk instanceof Uint8Array ? chunk.length : chunk;
}

function blockingSkip(_: C, stream: InputStream, length: bigint) {
  const chunk = stream.blockingRead(length);
  return chunk instanceof Promise ? chunk.then(skipped) : skipped(chunk);
}

export const ioStreams: HostInterface<C> = {
  name: 'wasi:io/streams',
  waitless: 'all',
  functions: {
    '[method]input-stream.read': (_: C, stream: InputStream, length: bigint) => stream.read(length),
    '[method]input-stream.blocking-read': (_: C, stream: InputStream, length: bigint) => stream.blockingRead(length),
    '[method]input-stream.skip': (_: C, stream: InputStream, length: bigint) => skipped(stream.read(length)),
    '[method]input-stream.blocking-skip': blockingSkip,
    '[method]input-stream.subscribe': (_: C, stream: InputStream) => stream.subscribe(),
    '[method]output-stream.check-write': (_: C, stream: OutputStream) => stream.checkWrite(),
    '[method]output-stream.write': (_: C, stream: OutputStream, contents: Uint8Array) => stream.write(contents),
    '[method]output-stream.blocking-write-and-flush': (_: C, stream: OutputStream, contents: Uint8Array) => stream.blockingWriteAndFlush(contents),
    '[method]output-stream.flush': (_: C, stream: OutputStream) => stream.flush(),
    '[method]output-stream.blocking-flush': (_: C, stream: OutputStream) => stream.blockingFlush(),
    '[method]output-stream.subscribe': (_: C, stream: OutputStream) => new Pollable(stream, stream),
    '[method]output-stream.write-zeroes': (_: C, stream: OutputStream, length: bigint) => stream.writeZeroes(length),
    '[method]output-stream.blocking-write-zeroes-and-flush': (_: C, stream: OutputStream, length: bigint) => stream.blockingWriteZeroesAndFlush(length),
    '[method]output-stream.splice': (_: C, stream: OutputStream, source: InputStream, length: bigint) => stream.splice(source, length),
    '[method]output-stream.blocking-splice': (_: C, stream: OutputStream, source: InputStream, length: bigint) => stream.blockingSplice(source, length),
  },
  suspending: [
    '[method]input-stream.blocking-read',
    '[method]input-stream.blocking-skip',
    '[method]output-stream.blocking-write-and-flush',
    '[method]output-stream.blocking-flush',
    '[method]output-stream.blocking-write-zeroes-and-flush',
    '[method]output-stream.blocking-splice',
  ],
  drop: {
    'input-stream': (context: C, stream: InputStream) => {
      assertChildless(context, stream, 'drop input-stream');
      stream.drop();
    },
    'output-stream': (context: C, stream: OutputStream) => {
      assertChildless(context, stream, 'drop output-stream');
      stream.drop();
    },
  },
};
