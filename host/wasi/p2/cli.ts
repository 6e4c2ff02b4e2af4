import type { HostInterface } from '../../component/host.ts';
import type { WasiContext } from '../context.ts';

type C = WasiContext;

export const environment: HostInterface<C> = {
  name: 'wasi:cli/environment',
  waitless: 'all',
  functions: {
    'get-environment': (context: C) => context.grant.env,
    'get-arguments': () => [],
    'initial-cwd': (context: C) => (context.grant.scratch ? '/' : undefined),
  },
};

export const exit: HostInterface<C> = {
  name: 'wasi:cli/exit',
  waitless: 'all',
  functions: {
    exit: (context: C, status: { tag: 'ok' | 'err' }) => context.exit(status.tag === 'ok'),
    'exit-with-code': (context: C, code: number) => context.exit(code === 0),
  },
};

/** No guest has a terminal: the resources exist so that components which name them can be linked. */
const noTerminal = () => undefined;

export const terminals: HostInterface<C>[] = [
  { name: 'wasi:cli/terminal-input', waitless: 'all', functions: {}, drop: { 'terminal-input': noTerminal } },
  { name: 'wasi:cli/terminal-output', waitless: 'all', functions: {}, drop: { 'terminal-output': noTerminal } },
  { name: 'wasi:cli/terminal-stdin', waitless: 'all', functions: { 'get-terminal-stdin': noTerminal } },
  { name: 'wasi:cli/terminal-stdout', waitless: 'all', functions: { 'get-terminal-stdout': noTerminal } },
  { name: 'wasi:cli/terminal-stderr', waitless: 'all', functions: { 'get-terminal-stderr': noTerminal } },
];
