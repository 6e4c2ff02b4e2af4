import type { HostInterface } from '../../component/host.ts';
import type { WasiContext } from '../context.ts';

type C = WasiContext;

export const environment: HostInterface<C> = {
  name: 'wasi:cli/environment',
  functions: {
    'get-environment': (context: C) => context.grant.env,
    'get-arguments': () => [],
    'initial-cwd': (context: C) => (context.grant.scratch ? '/' : undefined),
  },
};

export const exit: HostInterface<C> = {
  name: 'wasi:cli/exit',
  functions: {
    exit: (context: C, status: { tag: 'ok' | 'err' }) => context.exit(status.tag === 'ok'),
    'exit-with-code': (context: C, code: number) => context.exit(code === 0),
  },
};

/** No guest has a terminal: the resources exist so that components which name them can be linked. */
const noTerminal = () => undefined;

export const terminals: HostInterface<C>[] = [
  { name: 'wasi:cli/terminal-input', functions: {}, drop: { 'terminal-input': noTerminal } },
  { name: 'wasi:cli/terminal-output', functions: {}, drop: { 'terminal-output': noTerminal } },
  { name: 'wasi:cli/terminal-stdin', functions: { 'get-terminal-stdin': noTerminal } },
  { name: 'wasi:cli/terminal-stdout', functions: { 'get-terminal-stdout': noTerminal } },
  { name: 'wasi:cli/terminal-stderr', functions: { 'get-terminal-stderr': noTerminal } },
];
