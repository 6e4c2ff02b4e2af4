import { type Reader, Writer } from '../../component/binary.ts';
import type { Additions } from './additions.ts';
import { Code, i32, op, type ValueType } from './assemble.ts';
import { scratchTypes } from './barrier.ts';
import { skipValueType } from './instructions.ts';
import { limits } from './limits.ts';
import { Operands } from './operands.ts';
import { Paths } from './paths.ts';

/** Units that may pass without a charge on any way through a function outside of its loops. */
export const unitsUncharged = 512;
/** Units that a loop counts in a local before it settles them with the fuel. */
const unitsUnsettled = 2_048;
/** What an invocation pays beside the units on its way, and what it pays more if it has loops, which may leave units unsettled. */
const unitsOfInvocation = 32;
const unitsOfLoops = 512;
/** Leaves room for the counter and what marking writes needs. */
const localsMax = limits.locals - 1 - scratchTypes.length;

/** A control frame: where its label stands among the new labels, and whether it is a loop inside of one that settles. */
type Frame = { label: number; retry: boolean };

/**
 * The body of one function after the other while it is rewritten: what is read and not yet written, the control frames,
 * and the charges that are inserted.
 *
 * Each branch back to a loop first adds to a local what its round took. A loop without parameters becomes an inner loop that
 * only looks at that local, and leaves to an outer one to settle: `block loop block loop br_if … end br end settle br end end`.
 * So no call stands in the loop itself, and V8 optimises it as before.
 */
export class Body {
  readonly add: Additions;
  readonly paths = new Paths();
  /** Followed only if writes are marked. */
  readonly operands = new Operands();
  /** Why the module cannot be reset. */
  readonly unrestorable = new Set<string>();
  relaxedSimd = false;
  reader!: Reader;
  private readonly frames: Frame[] = [];
  private readonly code = new Code(1 << 16);
  private readonly hints: number[] = [];
  /** Where the charges of the invocation stand, with their units. */
  private readonly invocations: { at: number; units: number }[] = [];
  /** Start of what was read and not yet written. */
  private from = 0;
  private labels = 0;
  /** The added local. */
  private counter = 0;
  private localGroups = 0;
  private locals: Uint8Array = new Uint8Array();
  private loops = false;
  /** Types of the locals that are added after the counter, as places in `scratchTypes`. */
  private readonly scratches: number[] = [];
  /** Where the last `i32.const` stands, and where it ends. */
  constantAt = 0;
  constantEnd = 0;

  constructor(add: Additions) {
    this.add = add;
  }

  /** Reads the locals of a function of type `type`. */
  begin(reader: Reader, type: number): void {
    this.reader = reader;
    this.counter = this.add.module.parameters[type] ?? 0;
    const groups = reader.count('groups of locals', limits.locals);
    const start = reader.offset;
    for (let left = groups; left > 0; left--) {
      this.counter += reader.u32();
      skipValueType(reader);
    }
    if (this.counter > localsMax) reader.fail(`a function may have ${localsMax} parameters and locals, got ${this.counter}`, start);
    this.code.truncate(0);
    this.hints.length = 0;
    this.invocations.length = 0;
    this.loops = false;
    this.scratches.length = 0;
    this.operands.start();
    this.labels = 0;
    this.frames.length = 0;
    this.paths.start();
    this.frames.push({ label: 0, retry: false });
    this.from = reader.offset;
    this.localGroups = groups;
    this.locals = reader.bytes.subarray(start, reader.offset);
  }

  /** Number of the control frames here. */
  get frame(): number {
    return this.frames.length;
  }

  /** Index of the added local of the kind that stands at `kind` in `scratchTypes`. */
  scratch(kind: number): number {
    let place = this.scratches.indexOf(kind);
    if (place < 0) place = this.scratches.push(kind) - 1;
    return this.counter + 1 + place;
  }

  /** Begins a block that is seldom entered. */
  unlikely(): Code {
    this.hints.push(this.code.length);
    return this.code.if();
  }

  get done(): boolean {
    return this.frames.length === 0;
  }

  /** Appends the rewritten body to `out`; returns the offsets in it of unlikely branches. */
  finish(out: Writer): number[] {
    this.reader.expectEnd('the function');
    this.flush(this.reader.offset);
    for (const { at, units } of this.invocations) this.code.patch32(at, units + (this.loops ? unitsOfLoops : 0));
    const head = new Writer(this.locals.length + 16);
    const added = this.loops || this.scratches.length > 0 ? [i32, ...this.scratches.map((kind) => scratchTypes[kind] as ValueType)] : [];
    head.u32(this.localGroups + added.length).raw(this.locals);
    for (const type of added) head.u32(1).raw(type);
    const bytes = head.length + this.code.length;
    if (bytes > limits.functionBytes) this.reader.fail(`a metered function may have ${limits.functionBytes} bytes, got ${bytes}`);
    out.u32(bytes).raw(head.bytes).raw(this.code.bytes);
    return this.hints.map((offset) => offset + head.length);
  }

  /** Writes what was read up to `end`. */
  private flush(end: number): void {
    if (end > this.from) this.code.copy(this.reader.bytes, this.from, end);
    this.from = end;
  }

  /** Replaces what stands between `at` and the reader by what is written next. */
  replace(at: number): Code {
    this.flush(at);
    this.from = this.reader.offset;
    return this.code;
  }

  /** Inserts, before the instruction at `at`, a charge of `units` and of what may have run since the last one. */
  charge(at: number, units: number): void {
    const { code, add, paths } = this;
    this.flush(at);
    code.globalGet(add.fuel);
    if (units === unitsOfInvocation) this.invocations.push({ at: code.length + 1, units: paths.units + units });
    code
      .wide32(paths.units + units)
      .op(op.i32Sub)
      .globalSet(add.fuel);
    code.globalGet(add.fuel).i32(0).op(op.i32LtS);
    this.hints.push(code.length);
    code.if().call(add.refill).op(op.end);
    paths.pay();
  }

  chargeInvocation(at: number): void {
    if (!this.paths.paid) this.charge(at, unitsOfInvocation);
  }

  /** Where the label that was `depth` levels out stands now, seen from here. */
  depth(depth: number): number {
    const frame = this.frames[this.frames.length - 1 - depth];
    return frame ? this.labels - frame.label : this.reader.fail(`the label ${depth} is not there`);
  }

  enter(kind: 'block' | 'loop' | 'if' | 'try'): void {
    this.paths.enter(kind);
    this.push(1, false);
  }

  private push(labels: number, retry: boolean): void {
    this.labels += labels;
    this.frames.push({ label: this.labels, retry });
    if (this.frames.length > limits.nesting) this.reader.fail(`at most ${limits.nesting} blocks may be within each other`);
  }

  loop(at: number): void {
    const { reader, code, paths } = this;
    const type = reader.s33();
    const header = reader.bytes.subarray(at + 1, reader.offset);
    this.chargeInvocation(at);
    this.replace(at);
    this.loops = true;
    const retry = type < 0 || this.add.module.parameters[type] === 0;
    if (retry) code.byte(0x02).raw(header).byte(0x03).raw(header).block();
    code.byte(0x03).raw(header);
    paths.enter('loop');
    this.push(retry ? 4 : 1, retry);
    code.get(this.counter).i32(unitsUnsettled).op(op.i32GtU);
    if (retry) code.branchIf(1);
    else {
      this.hints.push(code.length);
      this.settle(code.if()).op(op.end);
    }
  }

  /** Adds to the local counter, before the instruction at `at`, which may branch back to a loop, the units of the round. */
  countRound(at: number, units: number): void {
    if (units === 0) return;
    this.flush(at);
    this.code.get(this.counter).i32(units).op(op.i32Add).set(this.counter);
  }

  private settle(code: Code): Code {
    return code.get(this.counter).call(this.add.settle).set(this.counter);
  }

  leave(end: number): void {
    const frame = this.frames.pop() as Frame;
    this.paths.leave();
    this.labels -= frame.retry ? 4 : 1;
    if (!frame.retry) return;
    this.flush(end);
    this.settle(this.code.branch(2).op(op.end)).branch(0).op(op.end, op.end);
  }
}
