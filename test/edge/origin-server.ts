import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An origin that does what a test wants. `requests` are those that came, in order. */
export type FakeOrigin = { url: string; requests: IncomingMessage[]; connections: () => number; close(): Promise<void> };

export async function fakeOrigin(answer: (request: IncomingMessage, response: ServerResponse, count: number) => void): Promise<FakeOrigin> {
  const requests: IncomingMessage[] = [];
  const open = new Set<unknown>();
  const server = createServer((request, response) => {
    requests.push(request);
    answer(request, response, requests.length);
  });
  server.on('connection', (socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    connections: () => open.size,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

export const event = (name: string, data: string, id?: number): string => `${id === undefined ? '' : `id: ${id}\n`}event: ${name}\ndata: ${data}\n\n`;
