/** Operands that are followed; below that nothing is known. */
const depthMax = 32;
/** Facts that are kept. */
const factsMax = 16;

const unknown = -1;
/** An effect that leaves nothing known about the operands. */
const forget = 0xff;

const effect = (pops: number, pushes: number): number => (pushes << 4) | pops;

const ranges: [first: number, last: number, effect: number][] = [
  [0x01, 0x01, effect(0, 0)], // nop
  [0x0d, 0x0d, effect(1, 0)], // br_if
  [0x1a, 0x1a, effect(1, 0)], // drop
  [0x1b, 0x1b, effect(3, 1)], // select
  [0x23, 0x23, effect(0, 1)], // global.get
  [0x24, 0x24, effect(1, 0)], // global.set
  [0x28, 0x35, effect(1, 1)], // loads
  [0x36, 0x3e, effect(2, 0)], // stores
  [0x3f, 0x3f, effect(0, 1)], // memory.size
  [0x40, 0x40, effect(1, 1)], // memory.grow
  [0x41, 0x44, effect(0, 1)], // constants
  [0x45, 0x45, effect(1, 1)], // i32.eqz
  [0x46, 0x4f, effect(2, 1)],
  [0x50, 0x50, effect(1, 1)], // i64.eqz
  [0x51, 0x66, effect(2, 1)],
  [0x67, 0x69, effect(1, 1)], // i32.clz, ctz, popcnt
  [0x6a, 0x78, effect(2, 1)],
  [0x79, 0x7b, effect(1, 1)], // i64.clz, ctz, popcnt
  [0x7c, 0x8a, effect(2, 1)],
  [0x8b, 0x91, effect(1, 1)], // f32.abs to sqrt
  [0x92, 0x98, effect(2, 1)],
  [0x99, 0x9f, effect(1, 1)], // f64.abs to sqrt
  [0xa0, 0xa6, effect(2, 1)],
  [0xa7, 0xc4, effect(1, 1)], // conversions
];

const effects = new Uint8Array(256).fill(forget);
for (const [first, last, value] of ranges) effects.fill(value, first, last + 1);

/**
 * What is known, on straight ways through a function, of the operands on the stack: which of them are the present value of a
 * local; and through which locals something was marked that stays marked as long as the function runs.
 */
export class Operands {
  private readonly locals = new Int32Array(depthMax);
  private depth = 0;
  /** In the order of the control frames in which they were found. */
  private readonly facts: { local: number; key: number; frame: number }[] = [];

  start(): void {
    this.depth = 0;
    this.facts.length = 0;
  }

  /** The local that the operand `below` the topmost is the value of, or -1. */
  localAt(below: number): number {
    return below < this.depth ? (this.locals[this.depth - 1 - below] as number) : unknown;
  }

  /** To be called after each instruction but those on locals. */
  step(opcode: number): void {
    const change = effects[opcode] as number;
    if (change === forget) {
      this.depth = 0;
      return;
    }
    this.depth = Math.max(0, this.depth - (change & 15));
    if (change >> 4) this.push(unknown);
  }

  private push(local: number): void {
    if (this.depth === depthMax) this.depth = 0;
    this.locals[this.depth++] = local;
  }

  /** `local.get`, `local.set` or `local.tee`. */
  access(opcode: number, local: number): void {
    if (opcode !== 0x20) {
      if (this.depth > 0) this.depth--;
      this.assign(local);
    }
    if (opcode !== 0x21) this.push(local);
  }

  private assign(local: number): void {
    for (let at = 0; at < this.depth; at++) if (this.locals[at] === local) this.locals[at] = unknown;
    const at = this.factOf(local);
    if (at >= 0) this.facts.splice(at, 1);
  }

  private factOf(local: number): number {
    const { facts } = this;
    for (let at = facts.length - 1; at >= 0; at--) if (facts[at]?.local === local) return at;
    return -1;
  }

  /** Whether `key` was found for the present value of `local` on every way here; if not, it is from now on, within `frame`. */
  learn(local: number, key: number, frame: number): boolean {
    const at = this.factOf(local);
    if (at >= 0) {
      if (this.facts[at]?.key === key) return true;
      this.facts.splice(at, 1);
    }
    if (this.facts.length < factsMax) this.facts.push({ local, key, frame });
    return false;
  }

  /** Other ways may meet here: what was found within the control frame `frame` and those inside of it is no longer known. */
  forget(frame: number): void {
    const { facts } = this;
    while (facts.length > 0 && (facts[facts.length - 1]?.frame as number) >= frame) facts.pop();
  }
}
