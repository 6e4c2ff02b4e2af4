import type { Reader } from '../binary.ts';
import type { ReadContext } from './context.ts';
import { limits } from './limits.ts';
import { readCoreSort } from './sorts.ts';

const FUNC = 0x60;
const MODULE = 0x50;

function skipValueTypes(context: ReadContext, reader: Reader): void {
  for (let left = context.count(reader, 'core value types', limits.params); left > 0; left--) skipValueType(reader);
}

function skipValueType(reader: Reader): void {
  const form = reader.byte();
  if (form === 0x63 || form === 0x64) reader.s33();
}

function skipLimits(reader: Reader): void {
  const flags = reader.byte();
  reader.skipInteger();
  if (flags & 1) reader.skipInteger();
}

function skipCoreExtern(reader: Reader): void {
  const at = reader.offset;
  const kind = reader.byte();
  if (kind === 0) reader.u32();
  else if (kind === 1) {
    skipValueType(reader);
    skipLimits(reader);
  } else if (kind === 2) skipLimits(reader);
  else if (kind === 3) {
    skipValueType(reader);
    reader.byte();
  } else if (kind === 4) {
    reader.byte();
    reader.u32();
  } else reader.fail(`unknown kind ${kind} of a core import`, at);
}

function skipModuleDeclaration(context: ReadContext, reader: Reader): void {
  const at = reader.offset;
  const form = reader.byte();
  if (form === 0) {
    reader.name();
    reader.name();
    skipCoreExtern(reader);
  } else if (form === 1) skipCoreType(context, reader);
  else if (form === 2) {
    readCoreSort(reader);
    reader.byte();
    reader.u32();
    reader.u32();
  } else if (form === 3) {
    reader.name();
    skipCoreExtern(reader);
  } else reader.fail(`unknown declaration ${form} in a module type`, at);
}

/** Passes over a core type: a function or a module; core modules are checked against their use instead. */
export function skipCoreType(context: ReadContext, reader: Reader): void {
  const at = reader.offset;
  const form = reader.byte();
  if (form === FUNC) {
    skipValueTypes(context, reader);
    skipValueTypes(context, reader);
  } else if (form === MODULE) {
    context.nested(reader, () => {
      for (let left = context.count(reader, 'module declarations', limits.instanceItems); left > 0; left--) skipModuleDeclaration(context, reader);
    });
  } else reader.fail(`the core type form ${form} is not supported in a component`, at);
}
