import { Problem } from '../base/errors.ts';
import type { Address } from '../config/address.ts';
import { problemResponse } from '../control/problem.ts';
import { serveControl } from '../control/server.ts';
import type { Ground } from './ground.ts';

export type Undo = (() => Promise<void> | void)[];

export const undoAll = async (undo: Undo): Promise<void> => {
  for (let step = undo.pop(); step; step = undo.pop()) await step();
};

type Fetch = (request: Request) => Response | Promise<Response>;

/** Listens for the control API at once, so that its port is known and held; it answers when `serve` has been called. */
export const openControl = async ({ config }: Ground, undo: Undo): Promise<{ address: Address; serve: (fetch: Fetch) => void }> => {
  let fetch: Fetch = () => problemResponse(new Problem('unavailable', 'the node is starting'));
  const server = await serveControl((request) => fetch(request), config.control);
  undo.push(() => server.close());
  const serve = (ready: Fetch): void => {
    fetch = ready;
  };
  return { address: { ...config.control, port: server.port }, serve };
};
