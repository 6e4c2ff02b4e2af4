/** An unsigned LEB128 number. */
export function leb(value: number): number[] {
  const out: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...out, rest];
    out.push((rest % 128) + 128);
  }
}

/** The head of a component binary, and of a core module. */
export const COMPONENT = [0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00];
export const MODULE = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

export function section(id: number, content: readonly number[] | Uint8Array): Uint8Array {
  return concat([id, ...leb(content.length)], content);
}

export function concat(...parts: (readonly number[] | Uint8Array)[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts.map((part) => Uint8Array.from(part))));
}

type Section = { id: number; start: number; contentStart: number; end: number };

/** The sections of a component or module that is known to be well formed. */
export function sections(bytes: Uint8Array): Section[] {
  const out: Section[] = [];
  for (let at = 8; at < bytes.length; ) {
    const start = at;
    const id = bytes[at++]!;
    let size = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      size += (byte & 127) * 2 ** shift;
      if (byte < 128) break;
    }
    out.push({ id, start, contentStart: at, end: at + size });
    at += size;
  }
  return out;
}

/** The component with its first core module replaced. */
export function replaceFirstModule(component: Uint8Array, module: Uint8Array): Uint8Array {
  const first = sections(component).find((found) => found.id === 1);
  if (first === undefined) throw new Error('cannot replace a core module: the component has none');
  return concat(component.subarray(0, first.start), section(1, module), component.subarray(first.end));
}
