import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { formatAddress, parseAddress } from '../../host/config/address.ts';
import { type ConfigSources, loadConfig } from '../../host/config/load.ts';
import { settings } from '../../host/config/settings.ts';

const directory = mkdtempSync(join(tmpdir(), 'nacelle-config-'));
const load = (sources: Partial<ConfigSources> = {}) => loadConfig({ flags: {}, env: {}, directory, ...sources });

function writeConfig(text: string, name = 'given.jsonc'): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

function problemsOf(sources: Partial<ConfigSources>): readonly string[] {
  try {
    load(sources);
  } catch (error) {
    assert.instance(error, Problem);
    assert.is((error as Problem).code, 'config-invalid');
    return (error as Problem).problems ?? [];
  }
  return [];
}

test('loadConfig: without anything gives the defaults', () => {
  const config = load();
  assert.equal(config.http, { host: '127.0.0.1', port: 8080 });
  assert.equal(config.control, { host: '127.0.0.1', port: 8081 });
  assert.is(config.data, join(directory, '.nacelle'));
  assert.is(config.gateways, availableParallelism());
  assert.equal(config.ceilings, { memoryMib: 512, cpuMs: 30_000, timeMs: 300_000, bodyMib: 64 });
  assert.is(config.modules.bytesMax, 64 * 1024 * 1024);
});

test('loadConfig: a flag wins over a variable, a variable over the file, the file over the default', () => {
  const config = writeConfig('{ "gateways": 2, "domain": "file.example", "cache": { "ttlMs": 5, "pinLive": true } } // comment');
  const variables = { NACELLE_DOMAIN: 'env.example', NACELLE_CACHE_TTL_MS: '6' };
  const at = (flags: Record<string, string>, env: Record<string, string>) => load({ flags: { config, ...flags }, env });
  assert.is(at({}, {}).domain, 'file.example');
  assert.is(at({}, variables).domain, 'env.example');
  assert.is(at({ domain: 'flag.example' }, variables).domain, 'flag.example');
  assert.equal(at({ 'cache-ttl-ms': '7' }, variables).cache, { ttlMs: 7, bytesMax: 1_073_741_824, pinLive: true });
  assert.is(at({ 'cache-pin-live': 'false' }, {}).cache.pinLive, false);
  assert.is(at({}, variables).gateways, 2);
});

test('loadConfig: reads node.jsonc of the directory, or the file that NACELLE_CONFIG names', () => {
  const other = mkdtempSync(join(directory, 'other-'));
  writeFileSync(join(other, 'node.jsonc'), '{ "domain": "found.example" }');
  assert.is(load({ directory: other }).domain, 'found.example');
  const named = writeConfig('{ "domain": "named.example" }');
  assert.is(load({ directory: other, env: { NACELLE_CONFIG: named } }).domain, 'named.example');
});

test('loadConfig: data is relative to the file that names it', () => {
  mkdirSync(join(directory, 'etc'), { recursive: true });
  const config = writeConfig('{ "data": "./state" }', 'etc/node.jsonc');
  assert.is(load({ flags: { config } }).data, join(directory, 'etc', 'state'));
  assert.is(load({ flags: { config, data: './here' } }).data, join(directory, 'here'));
});

test('loadConfig: lists every problem with its value and where it came from', () => {
  const config = writeConfig('{ "gatewys": 2, "ceilings": { "memoryMib": 0, "diskMib": 1 }, "logs": 5 }');
  const problems = problemsOf({ flags: { config, http: '8080' }, env: { NACELLE_CACHE_TTL: '1', NACELLE_GATEWAYS: 'many' } }).join('\n');
  for (const expected of [
    'cannot set NACELLE_CACHE_TTL: there is no such variable, did you mean NACELLE_CACHE_TTL_MS?',
    'cannot set gatewys: there is no such setting, did you mean gateways?',
    'cannot set ceilings.diskMib: there is no such setting',
    `cannot set ceilings.memoryMib: must be a whole number from 1 to 4096, got 0 (${config})`,
    'got "8080" (--http)',
    'cannot set gateways: must be a whole number from 0 to 256, got "many" (NACELLE_GATEWAYS)',
    'cannot set logs: must be an object, got 5',
  ]) {
    assert.ok(problems.includes(expected), `${expected} in\n${problems}`);
  }
});

test('loadConfig: refuses one address for both servers, but not port 0', () => {
  assert.match(problemsOf({ flags: { control: '127.0.0.1:8080' } }).join(), 'another address than http');
  assert.equal(problemsOf({ flags: { http: '127.0.0.1:0', control: '127.0.0.1:0' } }), []);
});

test('loadConfig: says what is wrong with a file that cannot be read', () => {
  assert.match(problemsOf({ flags: { config: join(directory, 'absent.jsonc') } }).join(), 'ENOENT');
  assert.match(problemsOf({ flags: { config: writeConfig('{ "http": }') } }).join(), 'line 1');
  assert.match(problemsOf({ flags: { config: writeConfig('[]') } }).join(), 'must be an object');
});

test('loadConfig: whatever the file, gives a configuration or a list of problems', () => {
  const keys = fc.constantFrom('http', 'control', 'data', 'gateways', 'ceilings', 'cache', 'logs', 'memoryMib', '__proto__', 'constructor');
  const file = fc.dictionary(keys, fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.dictionary(keys, fc.jsonValue({ maxDepth: 1 }), { noNullPrototype: true })));
  fc.assert(
    fc.property(file, (value) => {
      const problems = problemsOf({ flags: { config: writeConfig(JSON.stringify(value)) } });
      for (const problem of problems) assert.match(problem, /^cannot (set|read) /);
    }),
    { numRuns: 300 },
  );
  assert.is(({} as Record<string, unknown>).memoryMib, undefined);
});

test('loadConfig: every setting can be given by flag and by variable', () => {
  const sample = {
    string: (key: string) => (key === 'logs.level' ? 'debug' : '127.0.0.1:0'),
    integer: () => '1073741824',
    number: () => '0.25',
    boolean: () => 'true',
    json: () => '[]',
  };
  for (const setting of settings) {
    const text = setting.key === 'domain' ? 'a.example' : sample[setting.type](setting.key);
    const byFlag = problemsOf({ flags: { [setting.flag]: text } });
    const byVariable = problemsOf({ env: { [setting.variable]: text } });
    assert.equal(
      byFlag.map((problem) => problem.replace(`--${setting.flag}`, '')),
      byVariable.map((problem) => problem.replace(setting.variable, '')),
    );
    assert.not.match(byFlag.join(), 'no such');
  }
});

test('parseAddress: reads what formatAddress writes', () => {
  for (const text of ['127.0.0.1:8080', '[::1]:0', 'localhost:65535']) assert.is(formatAddress(parseAddress(text) as never), text);
  for (const text of ['', '8080', ':8080', 'a:b', '127.0.0.1:65536', '::1:80', 'a b:1', '127.0.0.1:80/x']) assert.is(parseAddress(text), undefined, text);
});

test.after(() => rmSync(directory, { recursive: true }));
test.run();
