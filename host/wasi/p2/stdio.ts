import { BytesSource } from '../../base/bytes-source.ts';
import type { HostInterface } from '../../component/host.ts';
import type { WasiContext } from '../context.ts';
import { InputStream } from './input-stream.ts';
import { OutputStream, type OutputTarget } from './output-stream.ts';
import { transferBytesMax } from './stream-error.ts';

type C = WasiContext;

/**
 * Writes to the log of whichever execution runs: a stream taken while the instance was initialised serves all later
 * ones. It never fills up, because the log bounds itself.
 */
class LogTarget implements OutputTarget {
  readonly capacity = transferBytesMax;
  readonly drained = true;
  private readonly context: C;
  private readonly name: 'stdout' | 'stderr';

  constructor(context: C, name: 'stdout' | 'stderr') {
    this.context = context;
    this.name = name;
  }

  write(chunk: Uint8Array): void {
    this.context.execution.log.write(this.name, chunk);
  }

  async writable(): Promise<void> {}

  async flushed(): Promise<void> {}
}

/** An output stream without state of its own, so that one taken before a snapshot is as good after every reset. */
export class LogStream extends OutputStream {
  constructor(context: C, name: 'stdout' | 'stderr') {
    super(new LogTarget(context, name), null);
  }

  protected override spend(bytes: number): void {
    if (bytes > transferBytesMax) throw new Error(`cannot write ${bytes} bytes: check-write permits ${transferBytesMax}`);
  }

  override drop(): void {}
}

/** Standard input of an execution that has none: at its end from the start. */
export class EmptyStream extends InputStream {
  constructor() {
    super(null, null);
  }

  override drop(): void {}
}

const openStdin = ({ execution: { stdin: bytes } }: C): InputStream => (bytes ? new InputStream(new BytesSource(bytes), null) : new EmptyStream());

export const stdin: HostInterface<C> = { name: 'wasi:cli/stdin', waitless: 'all', functions: { 'get-stdin': openStdin } };

export const stdout: HostInterface<C> = {
  name: 'wasi:cli/stdout',
  waitless: 'all',
  functions: { 'get-stdout': (context: C) => new LogStream(context, 'stdout') },
};

export const stderr: HostInterface<C> = {
  name: 'wasi:cli/stderr',
  waitless: 'all',
  functions: { 'get-stderr': (context: C) => new LogStream(context, 'stderr') },
};
