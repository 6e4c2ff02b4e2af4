import type { Reader } from '../binary.ts';
import { limits } from './limits.ts';
import { readSort } from './sorts.ts';
import type { AliasSyntax } from './syntax.ts';

export function readAlias(reader: Reader): AliasSyntax {
  const at = reader.offset;
  const sort = readSort(reader);
  const target = reader.byte();
  if (target === 0) return { kind: 'alias export', at, sort, instance: reader.u32(), name: reader.name(limits.nameBytes) };
  if (target === 1) return { kind: 'alias core export', at, sort, instance: reader.u32(), name: reader.name() };
  if (target === 2) return { kind: 'alias outer', at, sort, count: reader.u32(), index: reader.u32() };
  return reader.fail(`unknown target ${target} of an alias`, at);
}
