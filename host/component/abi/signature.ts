import type { FuncType, Plan, ResourceDef, TypeDef, TypeRef } from '../plan.ts';
import { alignTo, type Codec, type CoreType } from './codec.ts';
import { bytesCodec, flagsCodec, listCodec, recordCodec, tupleCodec } from './compound.ts';
import { primitiveCodecs } from './primitives.ts';
import { borrowCodec, exportedBorrowCodec, exportedOwnCodec, ownCodec } from './resources.ts';
import { enumCodec, functionResultCodec, optionCodec, resultCodec, variantCodec } from './variants.ts';

const FLAT_PARAMS_MAX = 16;
const FLAT_RESULTS_MAX = 1;

/** How parameters and result of one function cross the ABI. */
export type Signature = {
  params: readonly Codec[];
  /** Offsets of the parameters when they are passed in memory; null when they are flat. */
  paramsInMemory: { offsets: readonly number[]; size: number; align: number } | null;
  result: Codec | null;
  /** The result is returned through a pointer. */
  resultInMemory: boolean;
  /** Core parameters of the lifted function, the return pointer of a lower not counted. */
  flatParams: readonly CoreType[];
};

/** Codecs of all types of a plan: between its components, or (`exported`) for calls from outside, which see its own resources as `GuestResource`s. */
export class TypeTable {
  private readonly codecs: Codec[];
  private readonly plan: Plan;
  private readonly exported: boolean;

  constructor(plan: Plan, exported = false) {
    this.plan = plan;
    this.exported = exported;
    this.codecs = [];
    for (const type of plan.types) this.codecs.push(this.build(type, plan.resources));
  }

  codec(type: TypeRef): Codec {
    return typeof type === 'number' ? (this.codecs[type] as Codec) : primitiveCodecs[type];
  }

  private maybe(type: TypeRef | null): Codec | null {
    return type === null ? null : this.codec(type);
  }

  private build(type: TypeDef, resources: readonly ResourceDef[]): Codec {
    switch (type.kind) {
      case 'list':
        return type.element === 'u8' ? bytesCodec : listCodec(this.codec(type.element));
      case 'record':
        return recordCodec(type.fields.map(([name, field]) => [name, this.codec(field)]));
      case 'tuple':
        return tupleCodec(type.items.map((item) => this.codec(item)));
      case 'variant':
        return variantCodec(type.cases.map(([name, payload]) => [name, this.maybe(payload)]));
      case 'enum':
        return enumCodec(type.cases);
      case 'option':
        return optionCodec(this.codec(type.type), this.isOption(type.type));
      case 'result':
        return resultCodec(this.maybe(type.ok), this.maybe(type.err));
      case 'flags':
        return flagsCodec(type.names.length);
      case 'own':
        return this.exported && resources[type.resource]?.from === 'guest' ? exportedOwnCodec(type.resource) : ownCodec(type.resource);
      case 'borrow': {
        const definition = resources[type.resource];
        if (definition?.from !== 'guest') return borrowCodec(type.resource, -1);
        return (this.exported ? exportedBorrowCodec : borrowCodec)(type.resource, definition.component);
      }
    }
  }

  private isOption(type: TypeRef): boolean {
    return typeof type === 'number' && this.plan.types[type]?.kind === 'option';
  }

  signature(type: FuncType): Signature {
    const params = type.params.map(([, param]) => this.codec(param));
    const flatParams = params.flatMap((param) => param.flat);
    const result = this.functionResult(type.result);
    return {
      params,
      paramsInMemory: flatParams.length > FLAT_PARAMS_MAX ? inMemory(params) : null,
      result,
      resultInMemory: result !== null && result.flat.length > FLAT_RESULTS_MAX,
      flatParams: flatParams.length > FLAT_PARAMS_MAX ? ['i32'] : flatParams,
    };
  }

  private functionResult(type: TypeRef | null): Codec | null {
    const definition = typeof type === 'number' ? this.plan.types[type] : undefined;
    if (definition?.kind === 'result') return functionResultCodec(this.maybe(definition.ok), this.maybe(definition.err));
    return this.maybe(type);
  }
}

function inMemory(params: readonly Codec[]): { offsets: number[]; size: number; align: number } {
  const tuple = tupleCodec(params);
  let size = 0;
  const offsets = params.map((param) => {
    const offset = alignTo(size, param.align);
    size = offset + param.size;
    return offset;
  });
  return { offsets, size: tuple.size, align: tuple.align };
}
