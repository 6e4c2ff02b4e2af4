import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, freshDirectory, startTestNode, type TestNode, until } from '../system/node.ts';
import { type CliHarness, commandLine, type Ran, succeed } from './harness.ts';

let node: TestNode;
let cli: CliHarness['run'];
const directory = freshDirectory();

test.before(async () => {
  node = await startTestNode({ args: ['--objects-rates-cpu-hour', '0', '--objects-rates-memory-gib-hour', '0', '--objects-review-ms', '200'] });
  cli = commandLine(node.control, node.token, directory);
  await node.deploy('generate', 'generate', { capabilities: { objects: ['sources'] } });
});
test.after(async () => {
  await node.end();
  cleanUp();
});

const done = (...words: string[]): Promise<Ran> => succeed(cli, words);
const input = (text: string, ...words: string[]): Promise<Ran> => succeed(cli, words, { input: text });

test('objects put, get: from a file or standard input, with a type by the ending, whole and in part', async () => {
  writeFileSync(join(directory, 'a.css'), 'body {}');
  assert.match((await done('objects', 'put', 'site/styles/a.css', 'a.css')).out, /^put site\/styles\/a\.css {2}7 bytes {2}"[0-9a-f]{64}"\n$/);
  assert.match((await input('from input', 'objects', 'put', 'site/é x.txt', '--header', 'nacelle-meta-of: me')).out, '10 bytes');
  const response = await node.api('GET', `/v1/objects/site/${encodeURIComponent('é x.txt')}`);
  assert.equal([response.headers.get('content-type'), response.headers.get('nacelle-meta-of')], ['text/plain; charset=utf-8', 'me']);
  assert.is((await done('objects', 'get', 'site/styles/a.css')).out, 'body {}');
  assert.is((await done('objects', 'get', 'site/é x.txt', '--range', '5-')).out, 'input');
  assert.is((await done('objects', 'get', 'site/styles/a.css', 'copy.css')).out, 'wrote copy.css\n');
  assert.is(readFileSync(join(directory, 'copy.css'), 'utf8'), 'body {}');
  assert.equal(JSON.parse((await done('objects', 'put', 'site/json', 'a.css', '--json')).out).bytes, 7);
});

test('objects put: only if it is not there, or is what one knows', async () => {
  await input('one', 'objects', 'put', 'site/once', '--if-none-match', '*');
  const second = await cli(['objects', 'put', 'site/once', '--if-none-match', '*'], { input: 'two' });
  assert.is(second.code, 1);
  assert.match(second.error, 'cannot change "once": it is at "');
  const { etag } = JSON.parse((await input('one', 'objects', 'put', 'site/once', '--json')).out);
  await input('two', 'objects', 'put', 'site/once', '--if-match', etag);
  assert.is((await done('objects', 'get', 'site/once')).out, 'two');
});

test('objects ls, rm: buckets with what they take, folders, all keys; what is gone is gone', async () => {
  assert.match((await done('objects', 'ls')).out, /^bucket +objects +bytes +stored +saved\nsite +4 +27 +27 +0\n/);
  assert.match((await done('objects', 'ls', 'site')).out, /^key +bytes +modified\nstyles\/\njson +7 +20[^\n]*\nonce +3/);
  assert.match((await done('objects', 'ls', 'site/styles/')).out, /\nstyles\/a\.css +7 /);
  assert.equal(
    JSON.parse((await done('objects', 'ls', 'site', '-r', '--json')).out).items.map(({ key }: { key: string }) => key),
    ['json', 'once', 'styles/a.css', 'é x.txt'],
  );
  assert.is((await done('objects', 'rm', 'site/once')).out, 'removed site/once\n');
  const gone = await cli(['objects', 'get', 'site/once']);
  assert.is(gone.code, 1);
  assert.match(gone.error, 'there is no object "once" in bucket "site"');
  assert.is((await done('objects', 'ls', 'nowhere')).out, 'no objects\n');
});

test('objects put --computed, explain: says why the bytes are kept or made, and each change of mind', async () => {
  await input('word ', 'objects', 'put', 'site/word');
  const made = ['objects', 'put', 'site/thrice', '--computed', 'generate@1', '--source', 'site/word', '--params', 'times=3'];
  assert.match((await done(...made)).out, /^put site\/thrice {2}15 bytes/);
  await until(async () => {
    assert.is((await done('objects', 'get', 'site/thrice')).out, 'word word word ');
    return (await done('objects', 'explain', 'site/thrice')).out.startsWith('stored         no') ? true : undefined;
  }, 'its bytes to be let go');
  const { out } = await done('objects', 'explain', 'site/thrice');
  assert.match(out, /^stored +no, 15 bytes are made when somebody asks\nmade by +generate@1 from site\/word\nnext request +[\d.]+ m?s, by its own requests\n/);
  assert.match(out, /\ncost to store +\d.*\ncost to make +0\nmeasured +\d+ runs, [\d.]+ ms of CPU, \d+ KiB\n/);
  assert.match(out, /\nat +choice +next request +store +make +basis\n20\S+ +store .*\n20\S+ +compute /);
  assert.match((await done('objects', 'ls')).out, /\nsite +\d+ +(\d+) +\d+ +15\n/);
  assert.is((await done('objects', 'explain', 'site/word')).out, 'stored  yes, 5 bytes; it is not computed\n');
  assert.match((await done('decisions', '--kind', 'object', '--subject', 'site/thrice')).out, /object +site\/thrice +compute /);
});

test('objects: what is wrong is said, and nothing is done', async () => {
  const failing = async (code: number, why: string, ...words: string[]): Promise<void> => {
    const ran = await cli(['objects', ...words], { input: 'x' });
    assert.is(ran.code, code, ran.error);
    assert.match(ran.error, why);
  };
  await failing(2, 'give the object as BUCKET/KEY, not "site"', 'put', 'site');
  await failing(2, 'give the object as BUCKET/KEY, not "/k"', 'get', '/k');
  await failing(2, 'cannot read missing.txt', 'put', 'site/k', 'missing.txt');
  await failing(2, 'give a header as \'K: V\', not "nonsense"', 'put', 'site/k', '--header', 'nonsense');
  await failing(2, 'give the function as FN or FN@VERSION, not "generate@x"', 'put', 'site/k', '--computed', 'generate@x', '--source', 'site/word');
  await failing(2, 'give a parameter as NAME=TEXT, not "=x"', 'put', 'site/k', '--computed', 'generate', '--source', 'site/word', '--params', '=x');
  await failing(1, 'its source "site/none" is not there', 'put', 'site/k', '--computed', 'generate', '--source', 'site/none');
  await failing(1, 'cannot compute objects by "nobody"', 'put', 'site/k', '--computed', 'nobody', '--source', 'site/word');
  await failing(1, 'it must have no "." or ".." segments', 'put', 'site/a/../b');
  await failing(1, 'Not_A_Bucket', 'put', 'Not_A_Bucket/k');
  await failing(1, 'cannot read "word": it has 5 bytes, and none of them is in the range that was asked for', 'get', 'site/word', '--range', '99-');
  await failing(1, 'there is no object "k"', 'explain', 'site/k');
  assert.is((await node.api('GET', '/v1/objects/site/k')).status, 404);
});

test.run();
