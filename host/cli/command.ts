import type { ControlClient } from './client.ts';
import type { Options } from './options.ts';
import type { Terminal } from './terminal.ts';

/** One option of a command, for parsing and for help. */
export type OptionSpec = {
  type: 'string' | 'boolean';
  short?: string;
  /** May be given several times. */
  multiple?: boolean;
  /** How help calls its value: `FILE`. */
  value?: string;
  description: string;
};

/** What a command gets to work with; nothing is taken from the process. */
export type Context = {
  parameters: readonly string[];
  options: Options;
  terminal: Terminal;
  env: Readonly<Record<string, string | undefined>>;
  /** The working directory. */
  directory: string;
  /** Aborted at SIGINT and SIGTERM. */
  signal: AbortSignal;
  /** The control API of the node that the options name. @throws UsageError if they name none */
  connect(): ControlClient;
};

/** One command. The table in commands.ts drives parsing and help. */
export type Command = {
  /** As typed: `secrets put`. */
  name: string;
  summary: string;
  /** Parameters as help shows them; one in brackets may be left out: `['FN', '[VERSION]']`. */
  parameters: readonly string[];
  options: Readonly<Record<string, OptionSpec>>;
  /** Talks to no node, and so has none of the options that name one. */
  local?: true;
  run(context: Context): Promise<void>;
};

/** The command line is wrong: exit code 2. */
export class UsageError extends Error {}
