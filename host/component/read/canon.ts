import type { Reader } from '../binary.ts';
import type { ReadContext } from './context.ts';
import { limits } from './limits.ts';
import type { CanonOptionsSyntax, Definition } from './syntax.ts';

const encodings = ['utf8', 'utf16', 'latin1+utf16'] as const;
const indexOptions = ['memory', 'realloc', 'postReturn'] as const;

/** Built-ins of asynchronous components, by opcode: the groups that the format has. */
const asynchronous: readonly [first: number, last: number, what: string][] = [
  [0x05, 0x0d, 'a task built-in'],
  [0x0e, 0x14, 'a stream built-in'],
  [0x15, 0x1b, 'a future built-in'],
  [0x1c, 0x1e, 'an error-context built-in'],
  [0x1f, 0x25, 'a task built-in'],
  [0x26, 0x42, 'a thread built-in'],
];

class Unsupported extends Error {}

function readOptions(context: ReadContext, reader: Reader): CanonOptionsSyntax {
  const options: CanonOptionsSyntax = { encoding: 'utf8', memory: null, realloc: null, postReturn: null };
  const seen = new Set<string>();
  for (let left = context.count(reader, 'canonical options', limits.canonOptions); left > 0; left--) {
    const at = reader.offset;
    const form = reader.byte();
    if (form > 7) throw new Unsupported(`canonical option ${form}`);
    if (form > 5) throw new Unsupported('an async function (asynchronous components, WASI 0.3)');
    const name = form < 3 ? 'encoding' : (indexOptions[form - 3] as (typeof indexOptions)[number]);
    if (seen.has(name)) reader.fail(`the canonical option ${name} is given twice`, at);
    seen.add(name);
    if (name === 'encoding') options.encoding = encodings[form] as (typeof encodings)[number];
    else options[name] = reader.u32();
  }
  return options;
}

function expectFuncSort(reader: Reader): void {
  if (reader.byte() !== 0) reader.fail('only functions can be lifted and lowered', reader.offset - 1);
}

function readKnown(context: ReadContext, reader: Reader): Definition {
  const at = reader.offset;
  const form = reader.byte();
  if (form === 0) {
    expectFuncSort(reader);
    return { kind: 'lift', at, func: reader.u32(), options: readOptions(context, reader), type: reader.u32() };
  }
  if (form === 1) {
    expectFuncSort(reader);
    return { kind: 'lower', at, func: reader.u32(), options: readOptions(context, reader) };
  }
  if (form <= 4) return { kind: 'resource', at, op: (['new', 'drop', 'rep'] as const)[form - 2] ?? 'rep', type: reader.u32() };
  const group = asynchronous.find(([first, last]) => form >= first && form <= last);
  if (group) throw new Unsupported(`${group[2]} (asynchronous components, WASI 0.3)`);
  return reader.fail(`unknown canonical function ${form}`, at);
}

/** One canonical definition; of one that this node cannot run, the rest of the section is passed over. */
export function readCanon(context: ReadContext, reader: Reader): Definition {
  const at = reader.offset;
  try {
    return readKnown(context, reader);
  } catch (error) {
    if (!(error instanceof Unsupported)) throw error;
    reader.skip(reader.remaining);
    return { kind: 'unsupported', at, what: error.message };
  }
}
