import type { HostInterface } from '../../component/host.ts';
import type { WasiContext } from '../context.ts';
import { type Pollable, whenAny } from './pollable.ts';

function readyIndexes(pollables: readonly Pollable[]): number[] {
  const indexes: number[] = [];
  for (let i = 0; i < pollables.length; i++) if ((pollables[i] as Pollable).ready) indexes.push(i);
  return indexes;
}

function poll(_context: WasiContext, pollables: Pollable[]): number[] | Promise<number[]> {
  if (pollables.length === 0) throw new Error('cannot poll: the list of pollables is empty');
  const indexes = readyIndexes(pollables);
  return indexes.length > 0 ? indexes : whenAny(pollables).then(() => readyIndexes(pollables));
}

export const ioPoll: HostInterface<WasiContext> = {
  name: 'wasi:io/poll',
  waitless: 'all',
  functions: {
    '[method]pollable.ready': (_context: WasiContext, pollable: Pollable) => pollable.ready,
    '[method]pollable.block': (_context: WasiContext, pollable: Pollable) => (pollable.ready ? undefined : whenAny([pollable])),
    poll,
  },
  suspending: ['[method]pollable.block', 'poll'],
  drop: { pollable: (_context: WasiContext, pollable: Pollable) => pollable.drop() },
};
