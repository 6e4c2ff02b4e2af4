import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UsageError } from '../../host/cli/command.ts';
import { discover } from '../../host/cli/discover.ts';
import { Options } from '../../host/cli/options.ts';

const directory = mkdtempSync(join(tmpdir(), 'nacelle-discover-'));

function dataDirectory(name: string, control: string, token?: string): string {
  mkdirSync(join(directory, name));
  writeFileSync(join(directory, name, 'node.json'), JSON.stringify({ http: 'http://127.0.0.1:1', control, pid: 1 }));
  if (token) writeFileSync(join(directory, name, 'admin.token'), `${token}\n`);
  return name;
}

const find = (flags: Record<string, string> = {}, env: Record<string, string> = {}, data?: string) =>
  discover({ options: new Options(flags), env, directory }, data);

dataDirectory('.nacelle', 'http://127.0.0.1:8081', 'own-token');
dataDirectory('other', 'http://127.0.0.1:9091', 'other-token');
dataDirectory('tokenless', 'http://127.0.0.1:9092');

test('discover: finds the node of ./.nacelle, of --data and of NACELLE_DATA', () => {
  assert.equal(find(), { url: 'http://127.0.0.1:8081', token: 'own-token' });
  assert.equal(find({}, {}, 'other'), { url: 'http://127.0.0.1:9091', token: 'other-token' });
  assert.equal(find({}, { NACELLE_DATA: 'other' }), { url: 'http://127.0.0.1:9091', token: 'other-token' });
  assert.equal(find({}, { NACELLE_DATA: 'tokenless' }, 'other'), { url: 'http://127.0.0.1:9091', token: 'other-token' });
});

test('discover: flags win over variables, variables over the data directory', () => {
  const env = { NACELLE_URL: 'https://env.example', NACELLE_TOKEN: 'env-token' };
  assert.equal(find({}, env), { url: 'https://env.example', token: 'env-token' });
  assert.equal(find({ url: 'https://flag.example/', token: 'flag-token' }, env), { url: 'https://flag.example', token: 'flag-token' });
  assert.equal(find({ token: 'flag-token' }), { url: 'http://127.0.0.1:8081', token: 'flag-token' });
});

test('discover: never sends the admin token of the data directory to another node', () => {
  assert.throws(() => find({ url: 'https://elsewhere.example' }), /no token for https:\/\/elsewhere.example/);
  assert.throws(() => find({}, { NACELLE_URL: 'http://127.0.0.1:8082' }), /no token/);
  assert.equal(find({ url: 'http://127.0.0.1:8081/' }).token, 'own-token');
});

test('discover: says what is missing or wrong', () => {
  assert.throws(() => find({}, {}, 'absent'), /found no node/);
  assert.throws(() => find({}, {}, 'tokenless'), /found no token/);
  assert.throws(() => find({ url: 'localhost:8081', token: 't' }), /must be a URL/);
  writeFileSync(join(directory, 'other', 'node.json'), '{ half');
  try {
    find({}, {}, 'other');
    assert.unreachable();
  } catch (error) {
    assert.instance(error, UsageError);
    assert.match((error as Error).message, 'is not JSON');
  }
});

test.after(() => rmSync(directory, { recursive: true }));
test.run();
