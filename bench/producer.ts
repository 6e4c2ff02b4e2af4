// Requests at a steady rate, from sockets that are kept, written whole, and of whose responses only the status is read: so that
// the client's own work, and its garbage, count as little as can be. What is left of it `against` a server that answers at once tells.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export type Posts = { url: string; headers: Record<string, string>; body: (index: number) => string; perSecond: number; seconds: number };

type Connection = { socket: Socket; text: string; sentMs: number };

const headEnd = '\r\n\r\n';
const drainMs = 1000;

const isWhole = (text: string): boolean => {
  const head = text.indexOf(headEnd);
  if (head < 0) return false;
  const length = /\r\ncontent-length: (\d+)/i.exec(text)?.[1];
  return length === undefined ? text.endsWith(`0${headEnd}`) : text.length >= head + headEnd.length + Number(length);
};

/** Milliseconds from the write of each request to its whole response. @throws Error if any has another status than 202 */
export async function post({ url, headers, body, perSecond, seconds }: Posts): Promise<number[]> {
  const { hostname, port, host, pathname, search } = new URL(url);
  const lines = Object.entries({ host, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `POST ${pathname}${search} HTTP/1.1\r\n${lines.join('')}content-length: `;
  const waits: number[] = [];
  const idle: Connection[] = [];
  const all: Connection[] = [];
  let refused: string | undefined;
  const open = (): Connection => {
    const connection: Connection = { socket: connect(Number(port), hostname).setNoDelay(true).setEncoding('latin1'), text: '', sentMs: 0 };
    connection.socket.on('data', (chunk: string) => {
      connection.text += chunk;
      if (!isWhole(connection.text)) return;
      waits.push(performance.now() - connection.sentMs);
      if (!connection.text.startsWith('HTTP/1.1 202')) refused ??= connection.text;
      connection.text = '';
      idle.push(connection);
    });
    all.push(connection);
    return connection;
  };
  const startMs = performance.now();
  for (let sent = 0; sent < perSecond * seconds; ) {
    for (; sent < perSecond * seconds && startMs + (sent * 1000) / perSecond <= performance.now(); sent++) {
      const connection = idle.pop() ?? open();
      const content = body(sent);
      connection.sentMs = performance.now();
      connection.socket.write(`${head}${Buffer.byteLength(content)}${headEnd}${content}`);
    }
    await sleep(1);
  }
  await sleep(drainMs);
  for (const { socket } of all) socket.destroy();
  if (refused !== undefined) throw new Error(`cannot post to ${url}: ${refused.slice(0, 500)}`);
  return waits;
}

const answering = `require('node:http').createServer((request, response) => {
  request.resume().on('end', () => response.writeHead(202, { 'content-length': 2 }).end('{}'));
}).listen(0, '127.0.0.1', function () { console.log(this.address().port); });`;

/** The same against a server of Node that answers at once: what the producer, Node's HTTP and the machine take of it. */
export async function postToNobody(posts: Posts): Promise<number[]> {
  const child = spawn(process.execPath, ['-e', answering], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const [port] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
    const url = new URL(posts.url);
    return await post({ ...posts, url: `http://127.0.0.1:${port.trim()}${url.pathname}${url.search}` });
  } finally {
    child.kill();
  }
}
