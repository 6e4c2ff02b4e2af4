import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { CoreRef, Plan } from '../../host/component/plan.ts';
import { threadCpuMs } from '../../host/instance/thread-cpu.ts';
import { assertRefused, planOf } from './wat.ts';

const core =
  '(core module $m (memory (export "mem") 1) (func (export "f") (param i32 i32)) (func (export "g") (result i32) i32.const 0) (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable))';
const instance = `${core} (core instance $i (instantiate $m))`;

const coreNameOf = (ref: CoreRef | null): string => (ref?.from === 'core' ? `${ref.instance}:${ref.name}` : String(ref?.from));

test("readComponent: an imported interface is the host's, with its resources and functions", async () => {
  const plan = await planOf(`(component
    (import "wasi:io/poll@0.2.3" (instance $poll
      (export "pollable" (type $p (sub resource)))
      (type $borrow (borrow $p))
      (export "[method]pollable.ready" (func (param "self" $borrow) (result bool)))))
    (alias export $poll "[method]pollable.ready" (func $ready))
    (core func $lowered (canon lower (func $ready)))
    (alias export $poll "pollable" (type $pollable))
    (core func $drop (canon resource.drop $pollable))
    (core module $m (import "host" "ready" (func (param i32) (result i32))) (import "host" "drop" (func (param i32))))
    (core instance (instantiate $m (with "host" (instance (export "ready" (func $lowered)) (export "drop" (func $drop)))))))`);
  assert.equal(plan.resources, [{ from: 'host', interface: 'wasi:io/poll@0.2.3', name: 'pollable' }]);
  assert.equal(plan.types, [{ kind: 'borrow', resource: 0 }]);
  assert.equal(plan.imports, [
    {
      interface: 'wasi:io/poll@0.2.3',
      functions: [{ name: '[method]pollable.ready', type: { params: [['self', 0]], result: 'bool' } }],
      resources: ['pollable'],
    },
  ]);
  assert.equal(plan.lowers[0]?.func, { from: 'host', interface: 'wasi:io/poll@0.2.3', name: '[method]pollable.ready' });
  assert.equal(plan.steps, [
    {
      module: 0,
      args: [
        [
          'host',
          [
            ['ready', { from: 'lower', lower: 0 }],
            ['drop', { from: 'resource', op: 'drop', resource: 0, component: 0 }],
          ],
        ],
      ],
    },
  ]);
});

test('readComponent: a lifted function behind a nested shim is exported as itself', async () => {
  const plan = await planOf(`(component ${instance}
    (type $t (func (param "name" string)))
    (func $f (type $t) (canon lift (core func $i "f") (memory (core memory $i "mem")) (realloc (core func $i "realloc"))))
    (component $shim
      (type $t (func (param "name" string)))
      (import "import-func-run" (func $f (type $t)))
      (export "run" (func $f) (func (type $t))))
    (instance $shimmed (instantiate $shim (with "import-func-run" (func $f))))
    (export "acme:jobs/job@1.0.0" (instance $shimmed)))`);
  assert.equal(plan.exports, [
    { interface: 'acme:jobs/job@1.0.0', functions: [{ name: 'run', func: { from: 'lift', lift: 0 }, type: { params: [['name', 'string']], result: null } }] },
  ]);
  assert.is(coreNameOf(plan.lifts[0]?.core ?? null), '0:f');
  assert.is(coreNameOf(plan.lifts[0]?.options.memory ?? null), '0:mem');
  assert.is(coreNameOf(plan.lifts[0]?.options.realloc ?? null), '0:realloc');
  assert.is(plan.components, 2);
});

const composed = (consumerImports: string): string => `(component
  (component $provider ${instance}
    (func $get (result u32) (canon lift (core func $i "g")))
    (instance $api (export "get" (func $get)))
    (export "acme:numbers/source" (instance $api)))
  (component $consumer
    (import "acme:numbers/source" (instance $source ${consumerImports}))
    (alias export $source "get" (func $get))
    (core func $lowered (canon lower (func $get)))
    (core module $m (import "s" "get" (func $get (result i32))) (func (export "run") (result i32) call $get))
    (core instance $i (instantiate $m (with "s" (instance (export "get" (func $lowered))))))
    (func (export "run") (result u32) (canon lift (core func $i "run"))))
  (instance $p (instantiate $provider))
  (instance $c (instantiate $consumer (with "acme:numbers/source" (instance $p "acme:numbers/source"))))
  (export "run" (func $c "run")))`;

test('readComponent: components inside one another are connected by lift and lower', async () => {
  const plan = await planOf(composed('(export "get" (func (result u32)))'));
  assert.is(plan.components, 3);
  assert.equal(plan.imports, []);
  assert.equal(
    plan.lowers.map(({ func, component }) => ({ func, component })),
    [{ func: { from: 'lift', lift: 0 }, component: 2 }],
  );
  assert.equal(
    plan.lifts.map(({ component }) => component),
    [1, 2],
  );
  assert.equal(plan.exports, [{ interface: '', functions: [{ name: 'run', func: { from: 'lift', lift: 1 }, type: { params: [], result: 'u32' } }] }]);
});

test('readComponent: an argument that is missing or of another type is refused', async () => {
  await assertRefused(
    composed('(export "get" (func (result u64)))'),
    /"get" of the import "acme:numbers\/source" has another function type than what is asked for/,
  );
  await assertRefused(composed('(export "get" (func (result u32))) (export "put" (func))'), /"put" of the import "acme:numbers\/source" is not provided/);
  await assertRefused('(component (component $a (import "x" (func))) (instance (instantiate $a)))', /the import "x" is not provided/);
  await assertRefused(
    '(component (component $a (import "x" (func))) (component $b) (instance (instantiate $a (with "x" (component $b)))))',
    /the import "x" must be a func, it is a component/,
  );
});

test('readComponent: a resource is another one in each instance of its component', async () => {
  const plan = await planOf(`(component
    (component $c
      (core module $m (func (export "drop") (param i32)))
      (core instance $i (instantiate $m))
      (type $r (resource (rep i32) (dtor (core func $i "drop"))))
      (core func (canon resource.new $r))
      (core func (canon resource.rep $r))
      (export "r" (type $r)))
    (instance $one (instantiate $c))
    (instance $two (instantiate $c))
    (alias export $one "r" (type $r1))
    (alias export $two "r" (type $r2))
    (type (own $r1)) (type (own $r2)) (type (own $r1)))`);
  assert.equal(plan.resources, [
    { from: 'guest', component: 1, destructor: { from: 'core', instance: 0, name: 'drop' } },
    { from: 'guest', component: 2, destructor: { from: 'core', instance: 1, name: 'drop' } },
  ]);
  assert.equal(
    plan.types,
    [
      { kind: 'own', resource: 0 },
      { kind: 'own', resource: 1 },
    ],
    'equal types are one',
  );
  assert.is(plan.modules.length, 1);
  assert.is(plan.steps.length, 2);
});

test('readComponent: resource types passed as arguments stay the same resource', async () => {
  const plan = await planOf(`(component
    (import "host" (instance $host (export "r" (type (sub resource)))))
    (alias export $host "r" (type $r))
    (component $shim
      (import "import-type-r" (type $r (sub resource)))
      (import "import-type-again" (type $again (eq $r)))
      (type (own $again))
      (export "r" (type $r)))
    (instance $s (instantiate $shim (with "import-type-r" (type $r)) (with "import-type-again" (type $r))))
    (alias export $s "r" (type $out))
    (type (own $out)))`);
  assert.equal(plan.types, [{ kind: 'own', resource: 0 }]);
  await assertRefused(
    '(component (component $a (import "t" (type (sub resource)))) (type $t string) (instance (instantiate $a (with "t" (type $t)))))',
    /the import "t" is another type than what is asked for/,
  );
});

test('readComponent: outer aliases see what stood before them, and nothing later', async () => {
  const plan = await planOf(`(component $root
    (type $t (record (field "a" u8)))
    (core module $m)
    (component $inner (alias outer $root $t (type $u)) (alias outer $root $m (core module $n)) (type (list $u)) (core instance (instantiate $n)))
    (instance (instantiate $inner)))`);
  assert.equal(plan.types.at(-1), { kind: 'list', element: 0 });
  assert.is(plan.steps.length, 1);
  await assertRefused(
    '(component (component $a (alias outer 1 0 (type))) (type u8) (instance (instantiate $a)))',
    /there is no type 0 in the scope 1 levels further out/,
  );
  await assertRefused(
    '(component $r (component $a (alias outer $r 0 (component $self)) (instance (instantiate $self))) (instance (instantiate $a)))',
    /there is no component 0 in the scope 1 levels/,
  );
  await assertRefused('(component (component $a (alias outer 7 0 (type))) (instance (instantiate $a)))', /there is no scope 7 levels further out/);
});

test('readComponent: a core instance gets exactly what its module imports', async () => {
  const needs = '(core module $n (import "env" "mem" (memory 1)) (import "env" "f" (func (param i32 i32))))';
  const plan = await planOf(`(component ${instance} ${needs} (core instance (instantiate $n (with "env" (instance $i)))))`);
  assert.equal(plan.steps[1]?.args, [
    [
      'env',
      [
        ['mem', { from: 'core', instance: 0, name: 'mem' }],
        ['f', { from: 'core', instance: 0, name: 'f' }],
      ],
    ],
  ]);
  await assertRefused(`(component ${instance} ${needs} (core instance (instantiate $n)))`, /the core module imports "env" "mem", which it is not given/);
  await assertRefused(
    `(component ${core} ${needs} (core instance $i (instantiate $m)) (core instance (instantiate $n (with "env" (instance (export "mem" (memory $i "mem")) (export "f" (memory $i "mem")))))))`,
    /imports "env" "f" as a func, it is given a memory/,
  );
  await assertRefused(
    `(component ${core} ${needs} (core instance $i (instantiate $m)) (core instance (instantiate $n (with "env" (instance (export "mem" (memory $i "mem")) (export "f" (func $i "g")))))))`,
    /imports "env" "f" with the core type "i32 i32 -> ", it is given " -> i32"/,
  );
  await assertRefused(`(component ${instance} (alias core export $i "nothing" (core func)))`, /does not export "nothing"/);
  await assertRefused(`(component ${instance} (alias core export $i "mem" (core func)))`, /the core export "mem" is a memory, not a func/);
});

test('readComponent: names that the host keeps for itself are refused', async () => {
  const using = (module: string): string => `(component (core module $m ${module}) (core instance (instantiate $m)))`;
  await assertRefused(using('(import "nacelle" "tick" (func))'), /the import module name "nacelle" is reserved/);
  await assertRefused(using('(memory (export "__nacelle_memory_0") 1)'), /export names that begin with "__nacelle_" are reserved/);
});

test('readComponent: canonical options must be there and of the right type', async () => {
  const lift = (type: string, options: string): string => `(component ${instance} (type $t ${type}) (func (type $t) (canon lift ${options})))`;
  await assertRefused(lift('(func (param "a" string))', '(core func $i "f")'), /needs the canonical option memory/);
  await assertRefused(lift('(func (param "a" string))', '(core func $i "f") (memory (core memory $i "mem"))'), /needs the canonical option realloc/);
  await assertRefused(
    lift('(func (param "a" string))', '(core func $i "f") (memory (core memory $i "mem")) (realloc (core func $i "g"))'),
    /realloc must have the core type "i32 i32 i32 i32 -> i32", it has " -> i32"/,
  );
  await assertRefused(lift('(func (param "a" u64))', '(core func $i "f")'), /the lifted function must have the core type "i64 -> ", it has "i32 i32 -> "/);
  await assertRefused(lift('(func (result string))', '(core func $i "g")'), /needs the canonical option memory/);
  await assertRefused(
    lift('(func (result u32))', '(core func $i "g") (post-return (core func $i "g"))'),
    /post-return must have the core type "i32 -> ", it has " -> i32"/,
  );
  await assertRefused(
    lift('(func)', '(core func $i "f") (memory (core memory $i "mem")) (memory (core memory $i "mem"))'),
    /the canonical option memory is given twice/,
  );
  await assertRefused('(component (import "f" (func $f (param "a" string))) (core func (canon lower (func $f))))', /needs the canonical option memory/);
});

test('readComponent: more than 16 core parameters are passed in memory', async () => {
  const params = (count: number): string => Array.from({ length: count }, (_, index) => `(param "p${index}" u32)`).join(' ');
  const wat = (count: number, type: string, options: string): string =>
    `(component (core module $m (memory (export "mem") 1) (func (export "f") (param ${type})) (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)) (core instance $i (instantiate $m)) (type $t (func ${params(count)})) (func (type $t) (canon lift (core func $i "f") ${options})))`;
  await planOf(wat(16, 'i32 '.repeat(16), ''));
  await planOf(wat(17, 'i32', '(memory (core memory $i "mem")) (realloc (core func $i "realloc"))'));
  await assertRefused(wat(17, 'i32', ''), /needs the canonical option memory/);
});

test('readComponent: misuse of types is refused', async () => {
  await assertRefused('(component (type $f (func)) (type (list $f)))', /type 0 is not the type of a value/);
  await assertRefused('(component (type $s string) (type (own $s)))', /type 0 is not a resource/);
  await assertRefused(
    '(component (type $r (resource (rep i32))) (type $b (borrow $r)) (type (func (result $b))))',
    /the result of a function cannot hold a borrow/,
  );
  await assertRefused(
    '(component (import "r" (type $r (sub resource))) (core func (canon resource.new $r)))',
    /resource\.new is only for a resource that the component itself defines/,
  );
  await assertRefused('(component (type (list 9)))', /there is no type 9/);
  await assertRefused('(component (type (instance (type (resource (rep i32))))) (import "a" (instance (type 0))))', /a type cannot define a resource/);
  await assertRefused('(component (import "a" (component)))', /the host cannot provide the component "a"/);
  await assertRefused('(component (import "a" (func)) (import "A" (func)))', /two imports are named "A"/);
});

/** Types that each hold the one before twice. */
const doubling = (count: number, form: (previous: string) => string): string =>
  `(component (type $t0 (record (field "a" u64)))${Array.from({ length: count }, (_, index) => `(type $t${index + 1} ${form(`$t${index}`)})`).join('')})`;

test('readComponent: type bombs are refused at once', async () => {
  const started = threadCpuMs();
  await assertRefused(
    doubling(60, (type) => `(tuple ${type} ${type})`),
    /a type or function may have 10000 core values, this has more/,
  );
  await planOf(doubling(60, (type) => `(variant (case "a" ${type}) (case "b" ${type}))`));
  await assertRefused(
    doubling(200, (type) => `(list ${type})`),
    /types may be nested 100 deep, this is deeper/,
  );
  const wide = `(record ${Array.from({ length: 9_000 }, (_, index) => `(field "f${index}" u8)`).join(' ')})`;
  await assertRefused(
    `(component (type $w ${wide}) ${'(type (variant (case "a" $w) (case "b" $w)))'.repeat(1)} ${Array.from({ length: 400 }, (_, index) => `(type (variant (case "a${index}" $w) (case "b" $w)))`).join('')})`,
    /core values in all, these have more/,
  );
  assert.ok(threadCpuMs() - started < 5_000);
});

/** Components that each instantiate the one before twice. */
function instanceBomb(depth: number): string {
  const levels = Array.from(
    { length: depth },
    (_, index) => `(component $c${index + 1} (alias outer $root $c${index} (component $c)) (instance (instantiate $c)) (instance (instantiate $c)))`,
  );
  return `(component $root (component $c0) ${levels.join('')} (instance (instantiate $c${depth})))`;
}

test('readComponent: instances and evaluation are bounded', async () => {
  const started = threadCpuMs();
  await assertRefused(instanceBomb(28), /at most 200 component instances are allowed/);
  const twice = (index: number): string => `(instance $i${index + 1} (export "a" (instance $i${index})) (export "b" (instance $i${index})))`;
  const typeTwice = (index: number): string =>
    `(type $t${index + 1} (instance (alias outer $root $t${index} (type $p)) (export "a" (instance (type $p))) (export "b" (instance (type $p)))))`;
  const upTo = (count: number, text: (index: number) => string): string => Array.from({ length: count }, (_, index) => text(index)).join('');
  const matched = (depth: number): string =>
    `(component $root (type $t0 (instance)) ${upTo(depth, typeTwice)} (instance $i0) ${upTo(depth, twice)}
      (component $c (alias outer $root $t${depth} (type $t)) (import "x" (instance (type $t)))) (instance (instantiate $c (with "x" (instance $i${depth})))))`;
  await planOf(matched(10));
  await assertRefused(matched(24), /may take 1000000 steps/);
  await assertRefused(matched(2_000), /instances may be nested 32 deep, this is deeper/);
  await assertRefused(`(component (core module $m) ${'(core instance (instantiate $m))'.repeat(401)})`, /at most 400 core instances are allowed/);
  assert.ok(threadCpuMs() - started < 5_000);
});

test('readComponent: functions of many values are bounded in all', async () => {
  const wide = `(record ${Array.from({ length: 900 }, (_, index) => `(field "f${index}" u8)`).join(' ')})`;
  const params = Array.from({ length: 10 }, (_, index) => `(param "p${index}" $e)`).join(' ');
  const lifts = (count: number): string =>
    `(component (import "i" (instance $i (type $w ${wide}) (export "w" (type $e (eq $w))) (export "f" (func ${params})))) (alias export $i "f" (func $f))
      (core module $m (memory (export "mem") 1)) (core instance $c (instantiate $m)) ${'(core func (canon lower (func $f) (memory (core memory $c "mem"))))'.repeat(count)})`;
  await planOf(lifts(100));
  await assertRefused(lifts(600), /the types of a component may have 5000000 core values in all/);
});

test('readComponent: the modules of the plan are ranges of the file', async () => {
  const plan: Plan = await planOf('(component (core module) (component (core module (memory 1))) (core module (memory 2)))');
  assert.is(plan.modules.length, 3);
  assert.ok(plan.modules.every(({ start, end }, index) => end > start && start > (plan.modules[index - 1]?.end ?? 0)));
});

test.run();
