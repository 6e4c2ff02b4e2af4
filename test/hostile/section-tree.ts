import { concat, leb } from '../../components/toolchain/bytes.ts';

/** A section of a component or core module; one that holds a whole module or component has `inner` instead of `bytes`. `lie` is added to the size it states. */
export type Section = { id: number; lie: number; bytes: Uint8Array; inner?: Tree };
/** A component or core module as its sections, from which it can be written again with other sections and true sizes. */
export type Tree = { head: Uint8Array; sections: Section[] };

const isWasm = (bytes: Uint8Array): boolean => bytes[0] === 0 && bytes[1] === 0x61 && bytes[2] === 0x73 && bytes[3] === 0x6d;

const readSize = (bytes: Uint8Array, from: number): { size: number; at: number } => {
  let size = 0;
  for (let at = from, shift = 0; ; at++, shift += 7) {
    const byte = bytes[at] as number;
    size += (byte & 127) * 2 ** shift;
    if (byte < 128) return { size, at: at + 1 };
  }
};

/** Reads a binary that is well formed. */
export function treeOf(binary: Uint8Array): Tree {
  const sections: Section[] = [];
  for (let at = 8; at < binary.length; ) {
    const id = binary[at] as number;
    const { size, at: start } = readSize(binary, at + 1);
    const bytes = binary.subarray(start, start + size);
    sections.push(isWasm(bytes) ? { id, lie: 0, bytes, inner: treeOf(bytes) } : { id, lie: 0, bytes });
    at = start + size;
  }
  return { head: binary.subarray(0, 8), sections };
}

/** A copy whose lists of sections can be changed; the bytes are shared. */
export const copyOf = ({ head, sections }: Tree): Tree => ({
  head,
  sections: sections.map((section) => (section.inner === undefined ? { ...section } : { ...section, inner: copyOf(section.inner) })),
});

export function binaryOf({ head, sections }: Tree): Uint8Array {
  const parts = sections.flatMap(({ id, lie, bytes, inner }) => {
    const content = inner === undefined ? bytes : binaryOf(inner);
    return [[id, ...leb(Math.max(0, content.length + lie))], content];
  });
  return concat(head, ...parts);
}

/** Where a section stands: the list that it is in, and its place there. */
export type Place = { list: Section[]; index: number };

/** All sections of the tree, those of inner modules and components too. */
export function placesOf({ sections }: Tree): Place[] {
  return sections.flatMap(({ inner }, index) => [{ list: sections, index }, ...(inner === undefined ? [] : placesOf(inner))]);
}
