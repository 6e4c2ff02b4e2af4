import type { ErrorCode } from '../../host/base/errors.ts';
import { IsolateClient, type IsolateEnd } from '../../host/isolate/client.ts';
import { allocateHoldings, IdleCells } from '../../host/isolate/holdings.ts';
import { Isolate } from '../../host/isolate/isolate.ts';
import type { FromIsolate, Holding } from '../../host/isolate/protocol.ts';
import type { ExecutionPorts, GuestRequest, ResponseSink } from '../../host/wasi/context.ts';
import { grant, load } from '../instance/harness.ts';

export type Begun = { ended: Promise<IsolateEnd>; stop(code: ErrorCode, message: string): void };

/** Begins a run whose end can be awaited. */
export const begin = (
  client: IsolateClient,
  cell: number,
  hostCallNames: readonly string[],
  request: GuestRequest,
  response: ResponseSink,
  ports: ExecutionPorts,
  placed = false,
): Begun => {
  const { promise, resolve } = Promise.withResolvers<IsolateEnd>();
  const run = client.run(cell, hostCallNames, request, response, ports, placed, { runEnded: resolve });
  return { ended: promise, stop: (code, message) => run.stop(code, message) };
};

export type Kit = {
  isolate: Isolate;
  client: IsolateClient;
  cells: IdleCells;
  messages: FromIsolate[];
  next<K extends FromIsolate['kind']>(kind: K): Promise<Extract<FromIsolate, { kind: K }>>;
  hold(name: string, cell: number, overrides?: Partial<Holding>): Promise<readonly string[]>;
  exited: Promise<string | undefined>;
};

/** A warm isolate of tenant `t` with one channel to this thread. */
export async function startIsolate({ heapMib = 256, program }: { heapMib?: number; program?: string } = {}): Promise<Kit> {
  const shared = allocateHoldings();
  const messages: FromIsolate[] = [];
  const waiting: (() => void)[] = [];
  const { promise: exited, resolve: onExit } = Promise.withResolvers<string | undefined>();
  let client: IsolateClient | undefined;
  const isolate = new Isolate(
    { id: 1, cells: shared, reservedPorts: [], heapMib, program },
    {
      onMessage(message) {
        messages.push(message);
        for (const wake of waiting.splice(0)) wake();
      },
      onExit(reason) {
        client?.lost();
        onExit(reason);
      },
    },
  );
  const next: Kit['next'] = async (kind) => {
    for (;;) {
      const index = messages.findIndex((message) => message.kind === kind);
      if (index >= 0) return messages.splice(index, 1)[0] as never;
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
  };
  await next('warm');
  isolate.assign('t');
  client = new IsolateClient(1, isolate.connect(0));
  const hold: Kit['hold'] = async (name, cell, overrides = {}) => {
    const { artifact, modules } = await load(name);
    const { plan, reports, restorable } = artifact;
    const limits = { memoryMib: 64, cpuMs: 200, concurrency: 100 };
    isolate.hold({
      cell,
      key: `t/${name}@1`,
      function: name,
      version: 1,
      artifact: { plan, reports, restorable, modules },
      grant,
      limits,
      mode: 'pristine',
      ...overrides,
    });
    return (await next('held')).hostCallNames;
  };
  return { isolate, client, cells: new IdleCells(shared), messages, next, hold, exited };
}
