import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { componentOfJavaScript } from '../../components/toolchain/javascript.ts';
import { ControlKit, codesIn, judgedIn } from './control-kit.ts';
import { cleanUp, freshDirectory } from './node.ts';

let kit: ControlKit;

/** Reads its body whole, takes 40 MiB more, and answers with the body and the number of its attempt. */
const source = `
export default {
  async fetch(request) {
    const body = await request.bytes();
    const more = new Uint8Array(40 << 20).fill(1);
    return new Response(body, { headers: { 'x-attempt': request.headers.get('nacelle-attempt') ?? '', 'x-more': String(more.length) } });
  },
};
`;

const bytes = 5 * 1024 * 1024 + 17;

test.before(async () => {
  kit = await ControlKit.start();
  const file = join(freshDirectory(), 'hungry.js');
  writeFileSync(file, source);
  const component = await componentOfJavaScript(pathToFileURL(file));
  const { digest } = (await (await kit.node.api('PUT', '/v1/modules', component)).json()) as { digest: string };
  for (const fleet of ['resident', 'on-demand']) {
    const limits = { memoryMib: 32, cpuMs: 10_000, timeMs: 60_000 };
    const manifest = { name: `hungry-${fleet}`, module: digest, limits, capacity: { fleet }, guarantee: {}, onFailure: { verdict: 'double-memory' } };
    const response = await kit.node.api('POST', '/v1/functions', manifest);
    assert.is(response.status, 201, await response.text());
  }
});

test.after(async () => {
  await kit.node.end();
  cleanUp();
});

type Answer = { status: number; headers: IncomingHttpHeaders; body: Buffer };

/** Sends a body whose length it does not tell, in pieces of no even size. */
const stream = (path: string, body: Uint8Array, headers: Record<string, string> = {}): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const outgoing = request(
      kit.node.url + path,
      { method: 'POST', agent: false, headers: { 'content-type': 'application/x-bytes', ...headers } },
      (incoming) => {
        const pieces: Buffer[] = [];
        incoming.on('data', (piece: Buffer) => pieces.push(piece));
        incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(pieces) }));
        incoming.on('error', reject);
      },
    );
    outgoing.on('error', reject);
    const pieceBytes = 33_333;
    const send = (at: number): void => {
      if (at >= body.length) outgoing.end();
      else outgoing.write(body.subarray(at, at + pieceBytes), () => send(at + pieceBytes));
    };
    send(0);
  });

for (const fleet of ['resident', 'on-demand'])
  for (const [how, headers] of [
    ['without a key', {}],
    ['with a key', { 'idempotency-key': '"large"' }],
  ] as const)
    test(`double-memory: the next attempt has the body of a request to its last byte, in chunks, of several MiB, ${how}, ${fleet}`, async () => {
      const body = randomBytes(bytes);
      const answer = await stream(`/hungry-${fleet}/`, body, headers);
      assert.is(answer.status, 200, answer.body.toString('latin1', 0, 500));
      assert.is(answer.headers['x-attempt'], '2');
      assert.ok(answer.body.equals(body), `${answer.body.length} bytes came back`);
      const record = await kit.node.execution(answer.headers['nacelle-execution'] as string);
      assert.equal([codesIn(record).length, judgedIn(record)[0]?.by], [2, 'double-memory']);
    });

test.run();
