import { Reader, Writer } from '../../component/binary.ts';
import type { Additions } from './additions.ts';
import { Code, i32, op } from './assemble.ts';
import { copyMemory, copyTable, fillMemory, fillTable, growMemory, growTable, initMemory, initTable } from './helpers.ts';
import { costs, refuseOpcode, shape, shapes, skipHeapType, skipMemoryArgument, skipSelect, skipValueType, skipVector } from './instructions.ts';
import { limits } from './limits.ts';
import { Paths } from './paths.ts';

/** Units that may pass without a charge on any way through a function outside of its loops. */
const unitsUncharged = 512;
/** Units that a loop counts in a local before it settles them with the fuel. */
const unitsUnsettled = 2_048;
/** What one round of a loop counts at most: fits in one byte of LEB128. */
const unitsRoundMax = 63;
/** What an invocation pays beside the units on its way, and what it pays more if it has loops, which may leave units unsettled. */
const unitsOfInvocation = 32;
const unitsOfLoops = 512;
const unitsOfCall = 32;
const unitsOfImport = 128;
const unitsOfThrow = 2_000;
const unitsOfGrow = 256;

/** Bulk operations on fewer bytes, when the number is a constant, stay as they are: V8 makes plain stores of them. */
const bytesInline = 4_096;

/** A control frame: where its label stands among the new labels, and what is left to do at its end. */
type Frame = { label: number; retry: boolean; weightAt: number };

/**
 * Rewrites one function after the other: moves indices, replaces memory growth and bulk operations, and inserts charges.
 *
 * A loop without parameters becomes an inner loop that only counts, and leaves to an outer one to settle:
 * `block loop block loop (count; br_if unsettled) … end br end settle br end end`. So no call stands in the loop itself,
 * and V8 unrolls it as before.
 */
export class BodyRewriter {
  /** Why the module cannot be reset. */
  readonly unrestorable = new Set<string>();
  private readonly add: Additions;
  private readonly paths = new Paths();
  private readonly frames: Frame[] = [];
  private readonly code = new Code(1 << 16);
  private readonly hints: number[] = [];
  /** Where the charges of the invocation stand, with their units. */
  private readonly invocations: { at: number; units: number }[] = [];
  private reader!: Reader;
  /** Start of what was read and not yet written. */
  private from = 0;
  private labels = 0;
  private counter = 0;
  private loops = false;
  /** Where the last `i32.const` stands, and where it ends. */
  private constantAt = 0;
  private constantEnd = 0;

  constructor(add: Additions) {
    this.add = add;
  }

  /** Appends the rewritten body of a function of type `type` to `out`; returns the offsets of its unlikely branches in the body. */
  rewrite(reader: Reader, type: number, out: Writer): number[] {
    const declared = this.begin(reader, type);
    while (this.frames.length > 0) this.instruction();
    reader.expectEnd('the function');
    this.flush(reader.offset);
    for (const { at, units } of this.invocations) this.code.patch32(at, units + (this.loops ? unitsOfLoops : 0));
    const head = new Writer(declared.bytes.length + 8);
    head.u32(declared.groups + (this.loops ? 1 : 0)).raw(declared.bytes);
    if (this.loops) head.u32(1).raw(i32);
    out
      .u32(head.length + this.code.length)
      .raw(head.bytes)
      .raw(this.code.bytes);
    return this.hints.map((offset) => offset + head.length);
  }

  private begin(reader: Reader, type: number): { groups: number; bytes: Uint8Array } {
    this.reader = reader;
    this.counter = this.add.module.parameters[type] ?? 0;
    const groups = reader.count('groups of locals', limits.locals);
    const start = reader.offset;
    for (let left = groups; left > 0; left--) {
      this.counter += reader.u32();
      skipValueType(reader);
    }
    if (this.counter >= limits.locals) reader.fail(`a function may have ${limits.locals - 1} parameters and locals, got ${this.counter}`, start);
    this.code.truncate(0);
    this.hints.length = 0;
    this.invocations.length = 0;
    this.loops = false;
    this.labels = 0;
    this.frames.length = 0;
    this.paths.start();
    this.frames.push({ label: 0, retry: false, weightAt: -1 });
    this.from = reader.offset;
    return { groups, bytes: reader.bytes.subarray(start, reader.offset) };
  }

  /** Writes what was read up to `end`. */
  private flush(end: number): void {
    if (end > this.from) this.code.copy(this.reader.bytes, this.from, end);
    this.from = end;
  }

  /** Replaces what stands between `at` and the reader by what is written next. */
  private replace(at: number): Code {
    this.flush(at);
    this.from = this.reader.offset;
    return this.code;
  }

  private instruction(): void {
    const { reader, paths } = this;
    const at = reader.offset;
    const opcode = reader.byte();
    paths.units += costs[opcode] as number;
    if (paths.units > unitsUncharged) this.charge(at, 0);
    switch (shapes[opcode]) {
      case shape.none:
        return;
      case shape.integer:
        reader.skipInteger();
        this.constantAt = at;
        this.constantEnd = opcode === 0x41 ? reader.offset : 0;
        return;
      case shape.memory:
        return skipMemoryArgument(reader);
      case shape.float32:
        return reader.skip(4);
      case shape.float64:
        return reader.skip(8);
      case shape.branch:
        return this.branch(at, opcode);
      case shape.block:
        return this.block(at, opcode);
      case shape.control:
        return this.control(at, opcode);
      case shape.call:
        return this.call(at, opcode);
      case shape.global:
        return this.global(at, opcode);
      case shape.vector:
        return skipVector(reader);
      default:
        return this.rare(at, opcode);
    }
  }

  private rare(at: number, opcode: number): void {
    const { reader } = this;
    switch (shapes[opcode]) {
      case shape.branchTable:
        return this.branchTable(at);
      case shape.callIndirect:
      case shape.callReference:
        return this.callDynamic(at, opcode);
      case shape.functionReference: {
        const index = reader.u32();
        this.replace(at).byte(opcode).u32(this.add.shiftFunction(index));
        return;
      }
      case shape.select:
        return skipSelect(reader);
      case shape.memoryPages:
        return this.memoryPages(at, opcode);
      case shape.tableEntry:
        if (opcode === 0x26) this.unrestorable.add('it changes a table (table.set)');
        return reader.skipInteger();
      case shape.throwing:
        return this.throw(at, opcode);
      case shape.heapType:
        return skipHeapType(reader);
      case shape.bulk:
        return this.bulk(at);
      default:
        refuseOpcode(reader, opcode, at);
    }
  }

  /** Inserts, before the instruction at `at`, a charge of `units` and of what may have run since the last one. */
  private charge(at: number, units: number): void {
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

  private chargeInvocation(at: number): void {
    if (!this.paths.paid) this.charge(at, unitsOfInvocation);
  }

  /** Where the label that was `depth` levels out stands now, seen from here. */
  private depth(depth: number): number {
    const frame = this.frames[this.frames.length - 1 - depth];
    return frame ? this.labels - frame.label : this.reader.fail(`the label ${depth} is not there`);
  }

  private branch(at: number, opcode: number): void {
    const depth = this.reader.u32();
    const moved = this.depth(depth);
    if (moved !== depth) this.replace(at).byte(opcode).u32(moved);
    this.paths.branch(depth);
    if (opcode === 0x0c) this.paths.stop();
  }

  private branchTable(at: number): void {
    const { reader } = this;
    const count = reader.count('branch targets', limits.branchTargets);
    const depths: number[] = [];
    for (let left = count; left >= 0; left--) depths.push(reader.u32());
    const code = this.replace(at).byte(0x0e).u32(count);
    for (const depth of depths) {
      code.u32(this.depth(depth));
      this.paths.branch(depth);
    }
    this.paths.stop();
  }

  private enter(kind: 'block' | 'loop' | 'if' | 'try'): void {
    this.paths.enter(kind);
    this.frames.push({ label: ++this.labels, retry: false, weightAt: -1 });
  }

  private block(at: number, opcode: number): void {
    if (opcode === 0x03) return this.loop(at);
    this.reader.s33();
    this.enter(opcode === 0x04 ? 'if' : 'block');
  }

  private loop(at: number): void {
    const { reader, code, paths } = this;
    const type = reader.s33();
    const header = reader.bytes.subarray(at + 1, reader.offset);
    this.chargeInvocation(at);
    this.replace(at);
    this.loops = true;
    const retry = type < 0 || this.add.module.parameters[type] === 0;
    if (retry) code.byte(0x02).raw(header).byte(0x03).raw(header).block();
    code.byte(0x03).raw(header);
    this.labels += retry ? 4 : 1;
    paths.enter('loop');
    this.frames.push({ label: this.labels, retry, weightAt: this.count() });
    if (retry) code.branchIf(1);
    else {
      this.hints.push(code.length);
      this.settle(code.if()).op(op.end);
    }
  }

  /** Counts a round and asks whether to settle; returns where the weight of the round stands. */
  private count(): number {
    const { code, counter } = this;
    code.get(counter).i32(0);
    const weightAt = code.length - 1;
    code.op(op.i32Add).tee(counter).i32(unitsUnsettled).op(op.i32GtU);
    return weightAt;
  }

  private settle(code: Code): Code {
    return code.get(this.counter).call(this.add.settle).set(this.counter);
  }

  private leave(end: number): void {
    const frame = this.frames.pop() as Frame;
    const round = this.paths.leave();
    if (frame.weightAt >= 0) this.code.patch(frame.weightAt, Math.min(Math.max(round, 1), unitsRoundMax));
    this.labels -= frame.retry ? 4 : 1;
    if (!frame.retry) return;
    this.flush(end);
    this.settle(this.code.branch(2).op(op.end)).branch(0).op(op.end, op.end);
  }

  private control(at: number, opcode: number): void {
    const { reader, paths } = this;
    if (opcode === 0x0b) this.leave(reader.offset);
    else if (opcode === 0x05) paths.otherwise();
    else if (opcode === 0x00 || opcode === 0x0f) paths.stop();
    else if (opcode === 0x06) {
      reader.s33();
      this.enter('try');
    } else if (opcode === 0x1f) this.tryTable(at);
    else if (opcode === 0x18) this.delegate(at);
    else {
      if (opcode === 0x07) reader.skipInteger();
      paths.handler(unitsUncharged);
    }
  }

  private delegate(at: number): void {
    this.leave(at);
    const depth = this.reader.u32();
    this.replace(at).byte(0x18).u32(this.depth(depth));
  }

  private tryTable(at: number): void {
    const { reader, paths } = this;
    reader.s33();
    const typeEnd = reader.offset;
    const clauses = new Writer();
    const count = reader.count('catch clauses', limits.branchTargets);
    for (let left = count; left > 0; left--) {
      const kind = reader.byte();
      clauses.byte(kind);
      if (kind < 2) clauses.u32(reader.u32());
      const depth = reader.u32();
      clauses.u32(this.depth(depth));
      paths.caught(depth, unitsUncharged);
    }
    this.replace(at).copy(reader.bytes, at, typeEnd).u32(count).raw(clauses.bytes);
    this.enter('block');
  }

  private throw(at: number, opcode: number): void {
    const { reader, paths } = this;
    if (paths.units >= 0) this.charge(at, unitsOfThrow);
    if (opcode === 0x08) reader.skipInteger();
    else if (opcode === 0x09) {
      const depth = reader.u32();
      this.replace(at).byte(opcode).u32(this.depth(depth));
    }
    paths.stop();
  }

  private call(at: number, opcode: number): void {
    const index = this.reader.u32();
    this.chargeInvocation(at);
    this.replace(at).byte(opcode).u32(this.add.shiftFunction(index));
    this.called(opcode, index < this.add.module.importedFunctions ? unitsOfImport : unitsOfCall);
  }

  private callDynamic(at: number, opcode: number): void {
    this.chargeInvocation(at);
    this.reader.skipInteger();
    if (shapes[opcode] === shape.callIndirect) this.reader.skipInteger();
    this.called(opcode, unitsOfCall);
  }

  private called(opcode: number, units: number): void {
    const tail = opcode === 0x12 || opcode === 0x13 || opcode === 0x15;
    if (tail) this.paths.stop();
    else this.paths.units += units;
  }

  private global(at: number, opcode: number): void {
    const index = this.reader.u32();
    const moved = this.add.shiftGlobal(index);
    if (moved !== index) this.replace(at).byte(opcode).u32(moved);
  }

  private memoryPages(at: number, opcode: number): void {
    const memory = this.reader.u32();
    const code = this.replace(at);
    if (opcode === 0x3f) code.globalGet(this.add.pages(memory));
    else {
      code.call(growMemory(this.add, memory));
      this.paths.units += unitsOfGrow;
    }
  }

  /** Calls our function instead of the instruction at `at`. */
  private instead(at: number, helper: number): void {
    this.replace(at).call(helper);
    this.paths.units += unitsOfCall;
  }

  /** Whether the length of the bulk operation on bytes at `at` is a small constant, whose units are then counted. */
  private inline(at: number): boolean {
    if (this.constantEnd !== at) return false;
    const bytes = new Reader(this.reader.bytes, this.constantAt + 1, at).s32();
    if (bytes < 0 || bytes > bytesInline) return false;
    this.paths.units += unitsOfCall + (bytes >> 3);
    return true;
  }

  private bulk(at: number): void {
    const { reader, add } = this;
    const opcode = reader.u32();
    if (opcode < 8) return;
    if (opcode > 17) reader.fail(`the opcode 0xfc ${opcode} is not known`, at);
    const first = reader.u32();
    const second = opcode === 8 || opcode === 10 || opcode === 12 || opcode === 14 ? reader.u32() : 0;
    const changes = changing.get(opcode);
    if (changes) this.unrestorable.add(changes);
    if (opcode < 12 && this.inline(at)) return;
    if (opcode === 8) this.instead(at, initMemory(add, first, second));
    else if (opcode === 10) this.instead(at, copyMemory(add, first, second));
    else if (opcode === 11) this.instead(at, fillMemory(add, first));
    else if (opcode === 12) this.instead(at, initTable(add, first, second));
    else if (opcode === 14) this.instead(at, copyTable(add, first, second));
    else if (opcode === 15) this.instead(at, growTable(add, first));
    else if (opcode === 17) this.instead(at, fillTable(add, first));
  }
}

const changing = new Map([
  [9, 'it drops a data segment (data.drop)'],
  [12, 'it changes a table (table.init)'],
  [13, 'it drops an element segment (elem.drop)'],
  [14, 'it changes a table (table.copy)'],
  [15, 'it grows a table (table.grow)'],
  [17, 'it changes a table (table.fill)'],
]);
