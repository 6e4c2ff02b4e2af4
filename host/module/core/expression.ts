import type { Reader, Writer } from '../../component/binary.ts';
import { refuseOpcode, skipHeapType } from './instructions.ts';

/** How indices move when imports are appended. */
export type Shift = { function: (index: number) => number; global: (index: number) => number };

const arithmetic = new Set([0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e]);

/** Copies a constant expression with its end; indices are moved by `shift`. */
export const copyExpression = (reader: Reader, out: Writer, shift: Shift): void => {
  for (;;) {
    const at = reader.offset;
    const opcode = reader.byte();
    if (opcode === 0x23) out.byte(opcode).u32(shift.global(reader.u32()));
    else if (opcode === 0xd2) out.byte(opcode).u32(shift.function(reader.u32()));
    else {
      skipOperand(reader, opcode, at);
      out.copy(reader.bytes, at, reader.offset);
    }
    if (opcode === 0x0b) return;
  }
};

const skipOperand = (reader: Reader, opcode: number, at: number): void => {
  if (opcode === 0x0b || arithmetic.has(opcode)) return;
  if (opcode === 0x41 || opcode === 0x42) reader.skipInteger();
  else if (opcode === 0x43) reader.skip(4);
  else if (opcode === 0x44) reader.skip(8);
  else if (opcode === 0xd0) skipHeapType(reader);
  else if (opcode === 0xfd && reader.u32() === 0x0c) reader.skip(16);
  else refuseOpcode(reader, opcode, at);
};

/** Passes over a constant expression with its end. */
export const skipExpression = (reader: Reader): void => {
  for (;;) {
    const at = reader.offset;
    const opcode = reader.byte();
    if (opcode === 0x23 || opcode === 0xd2) reader.skipInteger();
    else skipOperand(reader, opcode, at);
    if (opcode === 0x0b) return;
  }
};
