import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { binaryOf } from '../component/wat.ts';
import { cleanUp, fixture, startTestNode, type TestNode, until } from './node.ts';

let node: TestNode;
test.before(async () => {
  node = await startTestNode({ gateways: 1 });
  await add('probe', fixture('sidecar/probe'));
  await add('counting', fixture('sidecar/counter'), { agent: true });
  await add('touch', await binaryOf(touching));
});
test.after(async () => {
  await node.end();
  cleanUp();
});

/** A middleware that adds 1 to `touched` in its bucket "" before it passes the request on. */
const touching = `(component
  (import "wasi:http/types@0.2.3" (instance $types (export "incoming-request" (type (sub resource))) (export "response-outparam" (type (sub resource)))))
  (alias export $types "incoming-request" (type $request)) (alias export $types "response-outparam" (type $out))
  (import "wasi:http/incoming-handler@0.2.3" (instance $next (export "handle" (func (param "request" (own $request)) (param "response-out" (own $out))))))
  (import "wasi:keyvalue/store@0.2.0-draft2" (instance $store
    (type $v (variant (case "no-such-store") (case "access-denied") (case "other" string))) (export "error" (type $e (eq $v)))
    (export "bucket" (type $b (sub resource))) (export "open" (func (param "identifier" string) (result (result (own $b) (error $e)))))))
  (alias export $store "bucket" (type $bucket)) (alias export $store "error" (type $error))
  (import "wasi:keyvalue/atomics@0.2.0-draft2" (instance $atomics
    (export "bucket" (type $b (eq $bucket))) (export "error" (type $e (eq $error)))
    (export "increment" (func (param "bucket" (borrow $b)) (param "key" string) (param "delta" s64) (result (result s64 (error $e)))))))
  (core module $libc (memory (export "memory") 1) (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024))
  (core instance $libc (instantiate $libc))
  (alias core export $libc "memory" (core memory $memory)) (alias core export $libc "realloc" (core func $realloc))
  (core func $open (canon lower (func $store "open") (memory $memory) (realloc $realloc)))
  (core func $increment (canon lower (func $atomics "increment") (memory $memory) (realloc $realloc)))
  (core func $handle (canon lower (func $next "handle")))
  (core module $m
    (import "" "memory" (memory 1)) (import "" "open" (func $open (param i32 i32 i32)))
    (import "" "increment" (func $increment (param i32 i32 i32 i64 i32))) (import "" "handle" (func $next (param i32 i32)))
    (data (i32.const 16) "touched")
    (func (export "handle") (param i32 i32)
      (call $open (i32.const 0) (i32.const 0) (i32.const 64))
      (if (i32.load8_u (i32.const 64)) (then unreachable))
      (call $increment (i32.load (i32.const 68)) (i32.const 16) (i32.const 7) (i64.const 1) (i32.const 80))
      (call $next (local.get 0) (local.get 1))))
  (core instance $c (instantiate $m (with "" (instance
    (export "memory" (memory $memory)) (export "open" (func $open)) (export "increment" (func $increment)) (export "handle" (func $handle))))))
  (alias core export $c "handle" (core func $lifted))
  (func $f (param "request" (own $request)) (param "response-out" (own $out)) (canon lift (core func $lifted)))
  (instance $handler (export "handle" (func $f))) (export "wasi:http/incoming-handler@0.2.3" (instance $handler)))`;

const must = async (promised: Promise<Response>): Promise<Record<string, unknown>> => {
  const response = await promised;
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return response.status === 204 ? {} : ((await response.json()) as Record<string, unknown>);
};

const add = async (name: string, component: Uint8Array, options: Record<string, unknown> = {}): Promise<void> => {
  const { digest } = await must(node.api('PUT', '/v1/modules', component));
  await must(node.api('POST', '/v1/sidecars', { name, module: digest, ...options }));
};

/** What it is refused with; empty if it is not. */
const refusal = async (promised: Promise<Response>): Promise<string> => {
  const response = await promised;
  if (response.ok) return '';
  const { code, detail } = (await response.json()) as { code: string; detail: string };
  return `${response.status} ${code}: ${detail}`;
};

const bank = { capabilities: { keyvalue: { '': 'bank' } } };
const deploy = async (name: string, component: string, manifest: Record<string, unknown>): Promise<Response> => {
  const { digest } = await must(node.api('PUT', '/v1/modules', fixture(component)));
  return node.api('POST', '/v1/functions', { name, module: digest, ...manifest });
};
const sending = { use: 'probe', capabilities: { http: ['127.0.0.1'] } };
const writing = (scope: string) => ({ use: 'touch', scope, capabilities: { keyvalue: { '': 'touches' } } });

test('guarantee: a function whose sidecar may send requests is refused unless its manifest takes them out of the guarantee', async () => {
  const refused = /^422 guarantee-irreversible: .*"sender".*sidecar probe@1\.0\.0 by wasi:http\/outgoing-handler.*127\.0\.0\.1/;
  assert.match(await refusal(deploy('sender', 'hello', { guarantee: {}, sidecars: [sending] })), refused);
  assert.match(await refusal(deploy('sender', 'hello', { events: [{ topic: 'news' }], sidecars: [sending] })), refused);
  assert.match(await refusal(deploy('sender', 'hello', { onFailure: { verdict: 'double-memory' }, sidecars: [sending] })), refused);
  await must(deploy('sender', 'hello', { guarantee: { outbound: 'allow' }, sidecars: [sending] }));
  await must(deploy('sender', 'hello', { sidecars: [sending] }));
});

test('guarantee: a shared sidecar that may write is refused likewise, one of each execution is not', async () => {
  for (const scope of ['function', 'tenant'])
    assert.match(
      await refusal(deploy('writer', 'hello', { guarantee: {}, sidecars: [writing(scope)] })),
      new RegExp(`^422 guarantee-irreversible: .*sidecar touch@1\\.0\\.0 writes by wasi:keyvalue.*scope "${scope}"`),
    );
  await must(deploy('writer', 'hello', { guarantee: { outbound: 'allow' }, sidecars: [writing('function')] }));
  await must(deploy('writer', 'hello', { guarantee: {}, sidecars: [writing('execution')] }));
});

test('guarantee: sidecars that an admin gives to all functions are refused if one of them has the guarantee', async () => {
  await must(node.api('POST', '/v1/tenants', { name: 'others' }));
  const { digest } = await must(node.api('PUT', '/v1/modules?tenant=others', fixture('hello')));
  const set = (sidecars: unknown[]): Promise<Response> => node.api('PUT', '/v1/tenants/others/sidecars', { sidecars });
  await add('public-probe', fixture('sidecar/probe'), { public: true });
  const given = { ...sending, use: 'public-probe' };
  const make = (guarantee: unknown): Promise<Response> => node.api('POST', '/v1/functions?tenant=others', { name: 'kept', module: digest, guarantee });
  await must(make({}));
  assert.match(await refusal(set([given])), /^422 guarantee-irreversible: .*"kept".*sidecar public-probe@1\.0\.0/);
  assert.equal((await must(node.api('GET', '/v1/tenants/others/sidecars'))).sidecars, [], 'nothing was set');
  await must(make({ outbound: 'allow' }));
  await must(set([given]));
  assert.match(await refusal(make({})), /^422 guarantee-irreversible: .*sidecar public-probe@1\.0\.0/);
});

test('guarantee: a function takes no events while its sidecar may send requests', async () => {
  await must(deploy('plain', 'deliver', { capabilities: { keyvalue: { '': 'done' } }, sidecars: [sending] }));
  const answer = await fetch(`${node.url}/plain/`, { method: 'POST', body: 'x', headers: { prefer: 'respond-async' } });
  assert.match(await refusal(Promise.resolve(answer)), /^422 guarantee-irreversible/);
});

test('guarantee: a request cannot add a sidecar for debugging that may send requests', async () => {
  await add('spy', fixture('sidecar/probe'), { debug: true });
  await must(deploy('watched', 'hello', { guarantee: {}, sidecars: [{ ...sending, use: 'spy', when: 'debug' }] }));
  const { token } = (await must(node.api('POST', '/v1/tokens', { scopes: ['debug:default'] }))) as { token: string };
  const headers = { 'nacelle-debug': 'spy', 'nacelle-debug-token': token };
  assert.match(await refusal(fetch(`${node.url}/watched/`, { headers })), /^422 guarantee-irreversible: .*sidecar spy@1\.0\.0/);
});

for (const fleet of ['resident', 'on-demand'])
  test(`guarantee: what a sidecar of each execution writes is gone after a trap and there once after the commit, ${fleet}`, async () => {
    const [name, bucket] = [`move-${fleet}`, `touches-${fleet}`];
    const sidecars = [{ use: 'touch', capabilities: { keyvalue: { '': bucket } } }];
    await must(deploy(name, 'transfer', { ...bank, capacity: { fleet }, guarantee: { retries: 1 }, sidecars }));
    const ask = (query: string, key: string): Promise<Response> => fetch(`${node.url}/${name}/?${query}`, { headers: { 'idempotency-key': key } });
    const touched = async (): Promise<string> => {
      const response = await node.api('GET', `/v1/state/${bucket}/touched`);
      return response.ok ? response.text() : '';
    };
    assert.is((await ask('id=1&trap=2', 'fails')).status, 502);
    assert.is(await touched(), '');
    const answer = await ask('id=2&trap=1', 'succeeds');
    assert.match(await answer.text(), /^2 /);
    assert.is(await touched(), '1');
  });

for (const fleet of ['resident', 'on-demand'])
  test(`guarantee: what a sidecar records for later executions is kept once, by the execution that took effect, ${fleet}`, async () => {
    const name = `recorded-${fleet}`;
    const sidecars = [{ use: 'counting', config: { count: '0' } }];
    await must(deploy(name, 'transfer', { ...bank, capacity: { fleet }, guarantee: { retries: 1 }, sidecars }));
    const ask = (path: string, key: string): Promise<Response> => fetch(`${node.url}/${name}/${path}`, { headers: { 'idempotency-key': key } });
    const kept = await ask('pass?id=1&trap=1', 'kept');
    assert.match(await kept.text(), /^2 /);
    let failures = 0;
    await until(async () => {
      const failed = await ask('pass?id=2&trap=9', `fails-${failures++}`);
      assert.is(failed.status, 502);
      const [sidecar] = (await node.execution(failed.headers.get('nacelle-execution'))).sidecars;
      return sidecar?.configurationFrom === kept.headers.get('nacelle-execution') || undefined;
    }, 'what was recorded');
    assert.is(await (await ask('', 'counts')).text(), '1');
  });

test.run();
