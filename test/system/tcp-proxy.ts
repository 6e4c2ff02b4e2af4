import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** `pass` all bytes; `cut`: break off what there is and refuse what comes; `stall`: take connections and say nothing; `mute`: let requests pass, and no answers; `spoil`: change a byte now and then; `trickle`: break each connection off after some bytes of answer. */
export type Fault = 'pass' | 'cut' | 'stall' | 'mute' | 'spoil' | 'trickle';

export type TcpProxy = {
  port: number;
  url: string;
  set(fault: Fault): void;
  use(ports: readonly number[]): void;
  /** From now on so many bytes of answers a second, all connections together, each of them so much later. */
  slow(bytesPerSecond: number, delayMs: number): void;
  /** Calls `act` once, when a client sends something that has this text, before it is passed on; or after, with `answered`, when something of an answer to it has come. */
  when(text: string, act: () => void, answered?: boolean): void;
  close(): Promise<void>;
};

const opened: TcpProxy[] = [];

/** Ends the proxies of this test file. */
export const closeProxies = async (): Promise<void> => {
  for (const proxy of opened) await proxy.close();
};

const trickleBytes = 100_000;
const spoilEvery = 3_000;

/** Says in how many milliseconds bytes that come now are through. */
const slowLine = (bytesPerSecond: number, delayMs: number): ((bytes: number) => number) => {
  let freeAtMs = 0;
  return (bytes) => {
    const nowMs = performance.now();
    freeAtMs = Math.max(freeAtMs, nowMs) + (bytes / bytesPerSecond) * 1000;
    return freeAtMs - nowMs + delayMs;
  };
};

/** How bytes go through the proxy now. */
type Way = {
  fault: Fault;
  line: ((bytes: number) => number) | undefined;
  trap: { text: string; act: () => void; answered: boolean } | undefined;
};

const spring = (way: Way): void => {
  const { trap } = way;
  way.trap = undefined;
  trap?.act();
};

/** A chunk of an answer, when the line has room for it. */
const pass = ({ line }: Way, chunk: Buffer, backend: Socket, client: Socket): void => {
  if (!line) return void client.write(chunk);
  backend.pause();
  setTimeout(() => {
    client.write(chunk);
    backend.resume();
  }, line(chunk.length));
};

const join = (way: Way, client: Socket, backend: Socket): void => {
  let answered = 0;
  let trapped = false;
  client.on('data', (chunk: Buffer) => {
    trapped = way.trap !== undefined && chunk.includes(way.trap.text);
    if (trapped && way.trap?.answered === false) spring(way);
    if (way.fault !== 'stall') backend.write(chunk);
  });
  backend.on('data', (chunk: Buffer) => {
    if (trapped && way.trap) spring(way);
    if (way.fault === 'stall' || way.fault === 'mute') return;
    answered += chunk.length;
    if (way.fault === 'spoil' && answered > spoilEvery) chunk[chunk.length >> 1]! ^= 1;
    pass(way, chunk, backend, client);
    if (way.fault === 'trickle' && answered > trickleBytes) client.destroySoon();
  });
  client.on('end', () => backend.end()).on('close', () => backend.destroy());
  backend.on('end', () => client.end()).on('close', () => client.destroySoon());
  client.resume();
};

/** A TCP proxy that tests put between two nodes. Backends are tried in turn, beginning with the next one, until one takes the connection. */
export async function tcpProxy(backends: readonly number[]): Promise<TcpProxy> {
  let ports = backends;
  let next = 0;
  const way: Way = { fault: 'pass', line: undefined, trap: undefined };
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    return socket.on('error', () => socket.destroy()).on('close', () => sockets.delete(socket));
  };
  const dial = (client: Socket, first: number, tries = ports.length): void => {
    const port = ports[(first + ports.length - tries) % ports.length] as number;
    const backend = connect({ port, host: '127.0.0.1' });
    backend.once('error', () => (tries > 1 ? dial(client, first, tries - 1) : client.destroy()));
    backend.once('connect', () => join(way, client, keep(backend)));
  };
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
    keep(client);
    if (way.fault === 'cut') client.destroy();
    else dial(client, next++);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const proxy: TcpProxy = {
    port,
    url: `http://127.0.0.1:${port}`,
    use: (wanted) => {
      ports = wanted;
    },
    when: (text, act, answered = false) => {
      way.trap = { text, act, answered };
    },
    slow: (bytesPerSecond, delayMs) => {
      way.line = slowLine(bytesPerSecond, delayMs);
    },
    set: (wanted) => {
      way.fault = wanted;
      if (wanted === 'cut') for (const socket of sockets) socket.destroy();
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  opened.push(proxy);
  return proxy;
}
