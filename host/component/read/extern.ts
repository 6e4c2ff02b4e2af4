import type { Reader } from '../binary.ts';
import { readSort } from './sorts.ts';
import type { ExternType } from './syntax.ts';

/** The type of an import or export. */
export function readExternType(reader: Reader): ExternType {
  const at = reader.offset;
  const sort = readSort(reader);
  switch (sort) {
    case 'core module':
    case 'func':
    case 'component':
    case 'instance':
      return { sort, type: reader.u32() };
    case 'type':
      return readBound(reader);
    case 'value':
      return reader.fail('values are not supported', at);
    default:
      return reader.fail(`a ${sort} can be neither imported nor exported`, at);
  }
}

function readBound(reader: Reader): ExternType {
  const at = reader.offset;
  const form = reader.byte();
  if (form === 0) return { sort: 'type', bound: reader.u32() };
  if (form === 1) return { sort: 'type', bound: null };
  return reader.fail(`unknown bound ${form} of a type`, at);
}
