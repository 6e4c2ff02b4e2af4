import fc from 'fast-check';

/** Random functions in WAT that always end: loops count a local down, and calls go only to functions of a higher number. */
type Scope = { labels: string[]; depth: number; functionsAfter: number };

const locals = 4;

/** A stream of decisions made from an array of numbers. */
class Choices {
  private readonly numbers: number[];
  private at = 0;
  private names = 0;
  constructor(numbers: number[]) {
    this.numbers = numbers;
  }

  below(limit: number): number {
    const number = this.numbers[this.at++ % this.numbers.length] ?? 0;
    return Math.abs(number + this.at * 7) % limit;
  }

  name(): string {
    return `$n${this.names++}`;
  }
}

const binary = ['i32.add', 'i32.sub', 'i32.mul', 'i32.xor', 'i32.and', 'i32.shl', 'i32.rotl', 'i32.lt_s', 'i32.gt_u', 'i32.eq'];

const expression = (choices: Choices, scope: Scope, depth = 0): string => {
  const kind = choices.below(depth > 3 ? 2 : 10);
  const operand = (): string => expression(choices, scope, depth + 1);
  if (kind === 0) return `(i32.const ${choices.below(1000) - 300})`;
  if (kind === 1) return `(local.get ${choices.below(locals)})`;
  if (kind === 2) return `(i32.load (i32.and ${operand()} (i32.const 0xfff)))`;
  if (kind === 3) return '(global.get $g)';
  if (kind === 4) return `(if (result i32) ${operand()} (then ${operand()}) (else ${operand()}))`;
  if (kind === 5 && scope.functionsAfter > 0) return `(call $f${choices.below(scope.functionsAfter) + 1} ${operand()} ${operand()})`;
  if (kind === 6) return `(select ${operand()} ${operand()} ${operand()})`;
  if (kind === 7) return choices.below(3) > 0 ? '(memory.size)' : `(i32.div_u ${operand()} (i32.or (i32.const 1) ${operand()}))`;
  return `(${binary[choices.below(binary.length)]} ${operand()} ${operand()})`;
};

const loop = (choices: Choices, scope: Scope): string => {
  const name = choices.name();
  const counter = `$c${scope.depth}`;
  const inner = { ...scope, depth: scope.depth + 1 };
  const body = statements(choices, inner);
  const again = `(br_if ${name} (i32.gt_s (local.tee ${counter} (i32.sub (local.get ${counter}) (i32.const 1))) (i32.const 0)))`;
  const start = `(local.set ${counter} (i32.const ${choices.below(6) + 1}))`;
  if (choices.below(4) > 0) return `${start} (loop ${name} ${body} ${again})`;
  return `${start} (local.set 0 (loop ${name} (param i32) (result i32) (local.set 1) ${body} (local.get 1) ${again}))`.replace(
    '(loop',
    `${expression(choices, scope, 3)} (loop`,
  );
};

const statement = (choices: Choices, scope: Scope): string => {
  const kind = choices.below(scope.depth > 3 ? 6 : 13);
  const value = (): string => expression(choices, scope, 1);
  const label = (): string | undefined => scope.labels[choices.below(scope.labels.length || 1)];
  if (kind < 2) return `(local.set ${choices.below(locals)} ${value()})`;
  if (kind === 2) return `(i32.store (i32.and ${value()} (i32.const 0xfff)) ${value()})`;
  if (kind === 3) return `(global.set $g ${value()})`;
  if (kind === 4) return label() ? `(br_if ${label()} ${value()})` : '(nop)';
  if (kind === 5) return `(memory.fill (i32.and ${value()} (i32.const 0xfff)) ${value()} (i32.and ${value()} (i32.const 0xff)))`;
  if (kind < 8) return loop(choices, scope);
  const name = choices.name();
  const inner = { ...scope, labels: [...scope.labels, name], depth: scope.depth + 1 };
  if (kind === 8) return `(block ${name} (br_table ${name} ${label() ?? name} ${name} ${value()}))`;
  if (kind === 9) return `(if ${name} ${value()} (then ${statements(choices, inner)}) (else ${statements(choices, inner)}))`;
  if (kind === 10) return `(block ${name} (try_table (catch_all ${name}) ${statements(choices, inner)} (if ${value()} (then (throw $t)))))`;
  if (kind === 11) return `(block ${name} ${statements(choices, inner)} (br ${name}))`;
  return `(block ${name} ${statements(choices, inner)})`;
};

const statements = (choices: Choices, scope: Scope): string => Array.from({ length: choices.below(4) + 1 }, () => statement(choices, scope)).join(' ');

const counters = Array.from({ length: 6 }, (_, depth) => `(local $c${depth} i32)`).join(' ');

const functionsOf = (numbers: number[][]): string =>
  numbers
    .map((choicesOf, index) => {
      const choices = new Choices(choicesOf);
      const rest = numbers.length - 1 - index;
      const scope: Scope = { labels: [], depth: 0, functionsAfter: rest };
      const body = `${statements(choices, scope)} ${expression(choices, scope)}`.replaceAll(/\$f(\d+)/g, (_, offset) => `$f${index + Number(offset)}`);
      return `(func $f${index} (export "f${index}") (param i32 i32) (result i32) (local i32 i32) ${counters} ${body})`;
    })
    .join('\n');

/** Modules with a memory, a mutable global and up to three functions `f0`, … of two integers. */
export const programs: fc.Arbitrary<{ wat: string; functions: number }> = fc
  .array(fc.array(fc.nat(10_000), { minLength: 5, maxLength: 60 }), { minLength: 1, maxLength: 3 })
  .map((numbers) => ({
    wat: `(module (tag $t) (memory (export "memory") 1) (global $g (export "g") (mut i32) (i32.const 5))\n${functionsOf(numbers)})`,
    functions: numbers.length,
  }));
