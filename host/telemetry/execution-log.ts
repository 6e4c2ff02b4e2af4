import { shorten } from '../base/shorten.ts';
import { LineJoiner } from './line-joiner.ts';
import type { LogRecord, LogStream } from './log-record.ts';

/** Whose lines they are. */
export type LogOrigin = Pick<LogRecord, 'execution' | 'tenant' | 'function' | 'version' | 'attempt'>;

/** Of one message; the rest is not kept. */
export const MESSAGE_CHARACTERS_MAX = 64 * 1024;
const encoder = new TextEncoder();

/**
 * The output of one execution, joined into lines. Costs nothing until something is written. Ends with `end()`, which gives out
 * what has no line end.
 */
export class ExecutionLog {
  readonly #origin: LogOrigin;
  readonly #push: (record: LogRecord) => void;
  readonly #now: () => number;
  #stdout: LineJoiner | undefined;
  #stderr: LineJoiner | undefined;

  /** @param now milliseconds since 1970 */
  constructor(origin: LogOrigin, push: (record: LogRecord) => void, now: () => number = Date.now) {
    this.#origin = origin;
    this.#push = push;
    this.#now = now;
  }

  /** Bytes that the guest wrote; they are not kept. */
  write(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    if (stream === 'stdout') this.#stdout ??= this.#joiner('stdout');
    else this.#stderr ??= this.#joiner('stderr');
    (stream === 'stdout' ? this.#stdout : this.#stderr)?.write(bytes);
  }

  /** A message of wasi:logging; one of several lines becomes several records. */
  record(level: string, context: string, message: string): void {
    this.#lines('log', level, context ? `${context}: ${message}` : message);
  }

  /** What the node has to say about the execution, for example its trap with the backtrace. */
  note(level: string, message: string): void {
    this.#lines('node', level, message);
  }

  end(): void {
    this.#stdout?.flush();
    this.#stderr?.flush();
  }

  #joiner(stream: LogStream, level?: string): LineJoiner {
    return new LineJoiner((text) => this.#push({ at: this.#now(), ...this.#origin, stream, ...(level ? { level } : {}), text }));
  }

  #lines(stream: LogStream, level: string, message: string): void {
    const joiner = this.#joiner(stream, level);
    joiner.write(encoder.encode(shorten(message, MESSAGE_CHARACTERS_MAX)));
    joiner.flush();
  }
}
