import type { Reader } from '../binary.ts';
import { limits } from './limits.ts';

const word = '(?:[a-z][0-9a-z]*|[A-Z][0-9A-Z]*)';
const label = new RegExp(`^${word}(?:-(?:[0-9a-z]+|[0-9A-Z]+))*$`);

/** A label of a field, case, flag or parameter, in kebab case. */
export function readLabel(reader: Reader): string {
  const at = reader.offset;
  const name = reader.name(limits.nameBytes);
  return label.test(name) ? name : reader.fail(`a label must be in kebab case, got ${JSON.stringify(name.slice(0, 100))}`, at);
}

/** Refuses labels that differ in nothing but case. */
export function expectUnique(reader: Reader, what: string, names: readonly string[]): void {
  const seen = new Set<string>();
  for (const name of names) {
    const folded = name.toLowerCase();
    if (seen.has(folded)) reader.fail(`two ${what} are named ${JSON.stringify(name.slice(0, 100))}`);
    seen.add(folded);
  }
}

/** Names of imports and exports reach logs and terminals, so nothing but printable ASCII is let through. */
function readPrintable(reader: Reader): string {
  const at = reader.offset;
  const name = reader.name(limits.nameBytes);
  return /^[ -~]+$/.test(name) ? name : reader.fail('the name of an import or export must be of printable ASCII characters', at);
}

/**
 * The name of an import or export with its attributes: the interface that it implements stands for the name, and a
 * version suffix is put back (`wasi:io/poll@0.2` and `.3`). Older tools wrote kind 1 before interface names.
 */
export function readExternName(reader: Reader): string {
  const at = reader.offset;
  const kind = reader.byte();
  if (kind > 2) reader.fail(`the kind of a name must be 0, 1 or 2, got ${kind}`, at);
  let name = readPrintable(reader);
  if (kind < 2) return name;
  let suffix = '';
  for (let left = reader.count('attributes of a name', 3); left > 0; left--) {
    const attribute = reader.byte();
    if (attribute === 0) name = readPrintable(reader);
    else if (attribute === 1) suffix = readPrintable(reader);
    else if (attribute === 2) reader.name();
    else reader.fail(`the attribute of a name must be 0, 1 or 2, got ${attribute}`, at);
  }
  return name + suffix;
}
