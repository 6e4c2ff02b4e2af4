import type { Reader } from '../binary.ts';
import type { Sort, SortIndex } from './syntax.ts';

const coreSorts = new Map<number, Sort>([
  [0x00, 'core func'],
  [0x01, 'core table'],
  [0x02, 'core memory'],
  [0x03, 'core global'],
  [0x04, 'core tag'],
  [0x10, 'core type'],
  [0x11, 'core module'],
  [0x12, 'core instance'],
]);
const sorts = new Map<number, Sort>([
  [0x01, 'func'],
  [0x02, 'value'],
  [0x03, 'type'],
  [0x04, 'component'],
  [0x05, 'instance'],
]);

export function readCoreSort(reader: Reader): Sort {
  const at = reader.offset;
  const byte = reader.byte();
  return coreSorts.get(byte) ?? reader.fail(`unknown core sort ${byte}`, at);
}

export function readSort(reader: Reader): Sort {
  const at = reader.offset;
  const byte = reader.byte();
  if (byte === 0) return readCoreSort(reader);
  return sorts.get(byte) ?? reader.fail(`unknown sort ${byte}`, at);
}

export const readSortIndex = (reader: Reader): SortIndex => ({ sort: readSort(reader), index: reader.u32() });

export const readCoreSortIndex = (reader: Reader): SortIndex => ({ sort: readCoreSort(reader), index: reader.u32() });
