import { Writer } from '../../component/binary.ts';

/** A value type as it stands in the binary. */
export type ValueType = ArrayLike<number>;

export const i32: ValueType = [0x7f];

/** Opcodes without immediates that are written by name. */
export const op = {
  else: 0x05,
  end: 0x0b,
  return: 0x0f,
  drop: 0x1a,
  i32Eqz: 0x45,
  i32Eq: 0x46,
  i32LtS: 0x48,
  i32GtU: 0x4b,
  i64GtU: 0x56,
  i32Add: 0x6a,
  i32Sub: 0x6b,
  i32And: 0x71,
  i32Or: 0x72,
  i32Shl: 0x74,
  i32ShrU: 0x76,
  i64Add: 0x7c,
  i64Shl: 0x86,
  i64ExtendU: 0xad,
} as const;

const noType = 0x40;

/** Writes instructions. */
export class Code extends Writer {
  op(...opcodes: number[]): this {
    for (const opcode of opcodes) this.byte(opcode);
    return this;
  }

  /** Pushes each of the locals. */
  get(...locals: number[]): this {
    for (const local of locals) this.byte(0x20).u32(local);
    return this;
  }

  set(local: number): this {
    return this.byte(0x21).u32(local);
  }

  tee(local: number): this {
    return this.byte(0x22).u32(local);
  }

  globalGet(global: number): this {
    return this.byte(0x23).u32(global);
  }

  globalSet(global: number): this {
    return this.byte(0x24).u32(global);
  }

  i32(value: number): this {
    return this.byte(0x41).s32(value);
  }

  /** `i32.const` of a value up to 2²⁰ in three bytes, which `patch32` can change. */
  wide32(value: number): this {
    this.byte(0x41).byte(0).byte(0).byte(0);
    this.patch32(this.length - 3, value);
    return this;
  }

  /** Overwrites the value, which stands at `at`, of what `wide32` wrote. */
  patch32(at: number, value: number): void {
    this.patch(at, (value & 0x7f) | 0x80);
    this.patch(at + 1, ((value >> 7) & 0x7f) | 0x80);
    this.patch(at + 2, (value >> 14) & 0x3f);
  }

  i64(value: bigint): this {
    return this.byte(0x42).s64(value);
  }

  call(index: number): this {
    return this.byte(0x10).u32(index);
  }

  /** `i32.store8` to `memory` at the address on the stack and `offset`. */
  store8(memory: number, offset: number): this {
    return this.byte(0x3a).byte(0x40).u32(memory).u32(offset);
  }

  /** `i32.load8_u` from `memory` at the address on the stack and `offset`. */
  load8(memory: number, offset: number): this {
    return this.byte(0x2d).byte(0x40).u32(memory).u32(offset);
  }

  memorySize(memory: number): this {
    return this.byte(0x3f).u32(memory);
  }

  memoryGrow(memory: number): this {
    return this.byte(0x40).u32(memory);
  }

  block(): this {
    return this.byte(0x02).byte(noType);
  }

  loop(): this {
    return this.byte(0x03).byte(noType);
  }

  if(): this {
    return this.byte(0x04).byte(noType);
  }

  branch(depth: number): this {
    return this.byte(0x0c).u32(depth);
  }

  branchIf(depth: number): this {
    return this.byte(0x0d).u32(depth);
  }

  /** Instruction `opcode` of the prefix 0xfc with its index immediates. */
  bulk(opcode: number, ...indices: number[]): this {
    this.byte(0xfc).u32(opcode);
    for (const index of indices) this.u32(index);
    return this;
  }
}
