import { COMPONENT, concat, leb, MODULE, section } from '../../components/toolchain/bytes.ts';
import { Writer } from '../../host/component/binary.ts';
import { fixture } from '../system/node.ts';
import { treeOf } from './section-tree.ts';

const repeat = (count: number, item: readonly number[]): Uint8Array => {
  const out = new Uint8Array(count * item.length);
  for (let at = 0; at < out.length; at += item.length) out.set(item, at);
  return out;
};
const vector = (count: number, item: readonly number[]): Uint8Array => concat(leb(count), repeat(count, item));
const component = (...sections: Uint8Array[]): Uint8Array => concat(COMPONENT, ...sections);

const hello = fixture('hello');
const modulesOfHello = treeOf(hello).sections.filter(({ id }) => id === 1).length;
/** A component that answers requests and has one more core module, which is instantiated. */
const core = (...sections: Uint8Array[]): Uint8Array => concat(hello, section(1, concat(MODULE, ...sections)), section(2, [1, 0, modulesOfHello, 0]));
const text = (name: string): number[] => [...leb(name.length), ...Buffer.from(name)];

/** A core module with one function whose body is `code`, without the `end`. */
const oneFunction = (code: Uint8Array): Uint8Array => {
  const body = concat([0], code, [0x0b]);
  return core(section(1, [1, 0x60, 0, 0]), section(3, [1, 0]), section(10, concat([1], leb(body.length), body)));
};

/** Types, each made of the one before. */
const chain = (count: number, make: (before: number[]) => number[]): Uint8Array => {
  const out = new Writer().u32(count + 1).byte(0x7f);
  for (let before = 0; before < count; before++) out.raw(make([...new Writer().s32(before).bytes]));
  return section(7, out.bytes);
};

const names = (count: number, make: (at: number) => readonly number[]): Uint8Array => {
  const out = new Writer().u32(count);
  for (let at = 0; at < count; at++) out.raw(make(at));
  return Uint8Array.from(out.bytes);
};

/** Components that are small on the wire or valid to the letter, and cost much to whoever reads them without limits. */
export const bombs: Record<string, () => Uint8Array> = {
  'chain of 5,000 tuples of two': () => component(chain(5_000, (before) => [0x6f, 2, ...before, ...before])),
  'chain of 30,000 options': () => component(chain(30_000, (before) => [0x6b, ...before])),
  'tuple of 10,000 tuples of 10,000': () => component(section(7, concat([2, 0x6f], vector(10_000, [0x7f]), [0x6f], vector(10_000, [0])))),
  'function with 1,000 parameters of 1,000 fields': () =>
    component(
      section(
        7,
        concat(
          [2, 0x6f],
          vector(1_000, [0x7f]),
          [0x40],
          names(1_000, (at) => [...text(`p${at}`), 0]),
          [1, 0],
        ),
      ),
    ),
  'type section of 100,000 types': () => component(section(7, vector(100_000, [0x7f]))),
  'list of 300,000 custom sections': () => component(repeat(300_000, [0, 1, 0])),
  'thousand empty components, each instantiated twice': () => component(repeat(1_000, [...section(4, COMPONENT)]), section(5, vector(2_000, [0, 0, 0]))),
  'component that doubles its instances 60 times': () => {
    let inner = component();
    for (let level = 0; level < 30; level++) inner = component(section(4, inner), section(5, [2, 0, 0, 0, 0, 0, 0]));
    return inner;
  },
  'module with a million types': () => core(section(1, vector(1_000_000, [0x60, 0, 0]))),
  'module with a million functions': () => core(section(1, [1, 0x60, 0, 0]), section(3, vector(1_000_000, [0])), section(10, vector(1_000_000, [2, 0, 0x0b]))),
  'module with 20,000 exports of one function': () =>
    core(
      section(1, [1, 0x60, 0, 0]),
      section(3, [1, 0]),
      section(
        7,
        names(20_000, (at) => [...text(`e${at}`), 0, 0]),
      ),
      section(10, [1, 2, 0, 0x0b]),
    ),
  'module with a million globals': () => core(section(6, vector(1_000_000, [0x7f, 1, 0x41, 0, 0x0b]))),
  'function of 2 MB in one block': () => oneFunction(repeat(700_000, [0x41, 0, 0x1a])),
  'function with 50,000 loops one after the other': () => oneFunction(repeat(50_000, [0x03, 0x40, 0x0b])),
  'function with 210,000 loops within one another': () => oneFunction(concat(repeat(210_000, [0x03, 0x40]), repeat(210_000, [0x0b]))),
  'function with 10 branch tables of 65,000': () => oneFunction(concat([0x02, 0x40], repeat(10, [0x41, 0, 0x0e, ...vector(65_000, [0]), 0]), [0x0b])),
  'function with 50,000 locals': () => {
    const body = concat([1], leb(49_000), [0x7e, 0x0b]);
    return core(section(1, [1, 0x60, 0, 0]), section(3, [1, 0]), section(10, concat([1], leb(body.length), body)));
  },
  'module of 10 MB of data': () =>
    core(section(5, [1, 0, ...leb(1_000)]), section(11, concat([1, 0, 0x41, 0, 0x0b], leb(10_000_000), new Uint8Array(10_000_000)))),
  'module with 50,000 segments of one byte': () => core(section(5, [1, 0, 1]), section(11, vector(50_000, [0, 0x41, 0, 0x0b, 1, 7]))),
  'module with a name section of 5 MB': () => core(section(0, concat(text('name'), [1], leb(5_000_000), new Uint8Array(5_000_000)))),
  'import of an instance with 30,000 functions': () =>
    component(
      section(7, concat([1, 0x42], leb(30_001), [1, 0x40, 0, 1, 0], names(30_000, (at) => [4, 0, ...text(`f${at}`), 1, 0]).subarray(3))),
      section(10, [1, 0, ...text('a:b/c'), 5, 0]),
    ),
};
