/** `log` is what the guest said through wasi:logging; `node` is what the node says about an execution, for example its trap. */
export type LogStream = 'stdout' | 'stderr' | 'log' | 'node';

/** One line of a function's log. */
export type LogRecord = {
  /** Milliseconds since 1970. */
  at: number;
  execution: string;
  tenant: string;
  function: string;
  version: number;
  /** Of an execution that is run more than once; undefined: 1. */
  attempt?: number | undefined;
  stream: LogStream;
  /** With `log` and `node`. */
  level?: string;
  /** Without line end and control characters. */
  text: string;
};

const RECORD_OVERHEAD_BYTES = 128;

/** What a record counts for in memory, about. */
export const recordBytes = (record: LogRecord): number => RECORD_OVERHEAD_BYTES + record.text.length * 2;
