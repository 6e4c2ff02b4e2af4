import fc from 'fast-check';
import { COMPONENT, concat, leb, section } from '../../components/toolchain/bytes.ts';
import { binaryOf, copyOf, type Place, placesOf, type Section, type Tree, treeOf } from './section-tree.ts';

/** Names that mean something to JavaScript, to the component model, to a terminal or to a parser. */
const oddNames = [
  '__proto__',
  'constructor',
  'toString',
  'then',
  'hasOwnProperty',
  '',
  'a'.repeat(2_000),
  'a-'.repeat(400),
  "']);process.exit(1);//",
  '\u2028\u0000\u001b[2J',
  '[resource-drop]incoming-request',
  '[method]fields.get',
  '[constructor]__proto__',
  '[static]response-outparam.set',
  'wasi:http/types@0.2.3',
  'wasi:http/incoming-handler@0.2.3',
  'wasi:http/types@0.2.99999999999999999999',
  'cabi_realloc',
  'memory',
  '$init',
];

const numbers = [0, 1, 2, 15, 16, 17, 100, 127, 128, 1_000, 65_535, 65_536, 1_000_000, 0x7fffffff, 0xffffffff];

const kinds = ['flip', 'set', 'number', 'count', 'insert', 'cut', 'name', 'drop', 'repeat', 'swap', 'graft', 'renumber', 'lie', 'wrap', 'custom'] as const;
export type Change = { kind: (typeof kinds)[number]; place: number; at: number; value: number };

/** One to four changes; most components that come of one are refused for it, and some are not. */
export const changes: fc.Arbitrary<Change[]> = fc.array(
  fc.record({ kind: fc.constantFrom(...kinds), place: fc.nat(0xffff), at: fc.nat(0xfffff), value: fc.nat(0xffff) }),
  { minLength: 1, maxLength: 4 },
);

const pick = <T>(list: readonly T[], by: number): T => list[by % list.length] as T;

const splice = (bytes: Uint8Array, at: number, remove: number, put: ArrayLike<number> = []): Uint8Array =>
  concat(bytes.subarray(0, at), Uint8Array.from(put), bytes.subarray(Math.min(bytes.length, at + remove)));

const edit = (bytes: Uint8Array, at: number, to: (byte: number) => number): Uint8Array => {
  const copy = Uint8Array.from(bytes);
  if (copy.length > 0) copy[at % copy.length] = to(copy[at % copy.length] as number);
  return copy;
};

/** Where names seem to stand: a length, then so many printable characters. */
function namesIn(bytes: Uint8Array): number[] {
  const found: number[] = [];
  for (let at = 0; at < Math.min(bytes.length, 20_000); at++) {
    const length = bytes[at] as number;
    if (length < 3 || length > 60 || at + length >= bytes.length) continue;
    if (bytes.subarray(at + 1, at + 1 + length).every((byte) => byte > 0x20 && byte < 0x7f)) found.push(at);
  }
  return found;
}

function renamed(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const places = namesIn(bytes);
  if (places.length === 0) return bytes;
  const place = pick(places, at);
  const name = Buffer.from(pick(oddNames, value));
  return splice(bytes, place, 1 + (bytes[place] as number), [...leb(name.length), ...name]);
}

/** Within the bytes of a section. */
const inBytes: Partial<Record<Change['kind'], (bytes: Uint8Array, at: number, value: number) => Uint8Array>> = {
  flip: (bytes, at, value) => edit(bytes, at, (byte) => byte ^ (1 << (value & 7))),
  set: (bytes, at, value) => edit(bytes, at, () => value & 255),
  number: (bytes, at, value) => splice(bytes, at % Math.max(1, bytes.length), 1, leb(pick(numbers, value))),
  count: (bytes, _at, value) => splice(bytes, 0, 1, leb(pick(numbers, value))),
  insert: (bytes, at, value) => splice(bytes, at % Math.max(1, bytes.length), 0, bytes.subarray(0, value & 63)),
  cut: (bytes, at) => bytes.subarray(0, at % Math.max(1, bytes.length)),
  name: renamed,
};

/** Of whole sections. */
const ofSections: Partial<Record<Change['kind'], (place: Place, change: Change, donors: readonly Section[]) => void>> = {
  drop: ({ list, index }) => void list.splice(index, 1),
  repeat: ({ list, index }, { value }) => void list.splice(index, 0, ...Array.from({ length: 1 + (value % 300) }, () => list[index] as Section)),
  swap: ({ list, index }, { at }) => {
    const other = at % list.length;
    [list[index], list[other]] = [list[other] as Section, list[index] as Section];
  },
  graft: ({ list, index }, { at }, donors) => {
    const same = donors.filter(({ id }) => id === list[index]?.id);
    if (same.length > 0) list[index] = { ...pick(same, at) };
  },
  renumber: ({ list, index }, { value }) => void list.splice(index, 1, { ...(list[index] as Section), id: value % 14 }),
  lie: ({ list, index }, { value }) => void list.splice(index, 1, { ...(list[index] as Section), lie: (value % 9) - 4 }),
  custom: ({ list, index }, { value }) => void list.splice(index, 0, { id: 0, lie: 0, bytes: Uint8Array.from([4, 110, 97, 109, 101, value & 255, 1, 2]) }),
};

const wrapped = (binary: Uint8Array, levels: number): Uint8Array => {
  let out = binary;
  for (let level = 0; level < levels; level++) out = concat(COMPONENT, section(4, out));
  return out;
};

/** Makes hostile components of `seeds`, which are well formed. */
export class Mutator {
  readonly #trees: Tree[];
  readonly #donors: Section[];

  constructor(seeds: readonly Uint8Array[]) {
    this.#trees = seeds.map(treeOf);
    this.#donors = this.#trees.flatMap(placesOf).map(({ list, index }) => list[index] as Section);
  }

  mutate(seed: number, changes: readonly Change[]): Uint8Array {
    const tree = copyOf(pick(this.#trees, seed));
    let levels = 0;
    for (const change of changes) {
      const places = placesOf(tree);
      if (change.kind === 'wrap') levels = change.value % 40;
      else if (places.length > 0) this.#apply(pick(places, change.place), change);
    }
    return wrapped(binaryOf(tree), levels);
  }

  #apply(place: Place, change: Change): void {
    const { list, index } = place;
    const found = list[index] as Section;
    ofSections[change.kind]?.(place, change, this.#donors);
    const within = inBytes[change.kind];
    if (within === undefined) return;
    const bytes = within(found.inner === undefined ? found.bytes : binaryOf(found.inner), change.at, change.value);
    list[index] = { id: found.id, lie: found.lie, bytes };
  }
}
