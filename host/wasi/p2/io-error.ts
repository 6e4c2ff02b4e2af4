import type { ByteStreamError } from '../../base/stream.ts';
import type { HostInterface } from '../../component/host.ts';
import type { WasiContext } from '../context.ts';

/** The resource `wasi:io/error.error`. `httpCode` and `fileCode` are what the more specific interfaces make of it. */
export class IoError {
  readonly message: string;
  readonly httpCode: string | undefined;
  readonly fileCode: string | undefined;

  constructor(message: string, httpCode?: string, fileCode?: string) {
    this.message = message;
    this.httpCode = httpCode;
    this.fileCode = fileCode;
  }
}

/** The code under which the scratch file system fails a stream: `file:insufficient-space`. */
export const filePrefix = 'file:';

export function ioErrorOf(error: ByteStreamError): IoError {
  if (error.code.startsWith(filePrefix)) return new IoError(error.message, undefined, error.code.slice(filePrefix.length));
  return new IoError(error.message, error.code);
}

export const ioError: HostInterface<WasiContext> = {
  name: 'wasi:io/error',
  waitless: 'all',
  functions: { '[method]error.to-debug-string': (_context: WasiContext, error: IoError) => error.message },
};
