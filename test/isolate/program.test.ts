import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { joinModules, writeProgram } from '../../host/isolate/program.ts';
import { Collector, grant, ports } from '../instance/harness.ts';
import { begin, startIsolate } from './harness.ts';

const directory = mkdtempSync(join(tmpdir(), 'nacelle-program-'));

test.after(() => rmSync(directory, { recursive: true, force: true }));

const ask = async (kit: Awaited<ReturnType<typeof startIsolate>>, cell: number, path: string) => {
  const collector = new Collector();
  const request = { method: 'GET', scheme: 'http' as const, authority: 'localhost', pathWithQuery: path, headers: [], body: null };
  await begin(kit.client, cell, [], request, collector, ports({ stdout: '', records: [] })).ended;
  return collector.answer();
};

test('program: an isolate of one file runs guests, and loads what only some of them need', async () => {
  const program = await writeProgram(directory);
  const server = createServer((_, response) => response.end('from outside')).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const authority = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const kit = await startIsolate({ program });
  await kit.hold('hello', 1);
  assert.is((await ask(kit, 1, '/')).text, 'Hello from nacelle!\n');
  await kit.hold('caller', 2, { grant: { ...grant, outboundHosts: [authority] } });
  const { status, text } = await ask(kit, 2, `/http://${authority}/`);
  assert.equal([status, text], [200, 'from outside']);
  await kit.isolate.terminate();
  server.close();
});

test('program: is written once', async () => {
  const [first, second] = [await writeProgram(directory), await writeProgram(directory)];
  assert.is(first, second);
  assert.is(readdirSync(directory).length, 1);
});

test('joinModules: names what it cannot join', async () => {
  const path = join(directory, 'odd.js');
  writeFileSync(path, 'export default 1;\n');
  try {
    await joinModules(pathToFileURL(path));
    assert.unreachable();
  } catch (error) {
    assert.match(String(error), /cannot join .*odd\.js/);
  }
});

test.run();
