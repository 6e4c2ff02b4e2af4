import { hostNameOf } from '../component/host.ts';
import type { FuncType, Plan, TypeDef, TypeRef } from '../component/plan.ts';
import { withoutVersion } from '../module/interface-name.ts';

const noNames = { has: () => false };

/** Names of a plan's resources as other components know them: `acme:shop/baskets#basket`. */
function resourceNames(plan: Plan): (string | undefined)[] {
  const names = plan.resources.map((resource) => (resource.from === 'host' ? `${hostNameOf(resource.interface, noNames)}#${resource.name}` : undefined));
  for (const exported of plan.exports)
    for (const [name, resource] of exported.resources ?? []) names[resource] ??= `${withoutVersion(exported.interface)}#${name}`;
  return names;
}

/** Compares types of two components by structure and names. Resources are the same if their interfaces (without version) and names are. */
export class TypeDifference {
  private readonly left: Plan;
  private readonly right: Plan;
  private readonly leftNames: (string | undefined)[];
  private readonly rightNames: (string | undefined)[];
  private readonly same = new Set<string>();

  constructor(left: Plan, right: Plan) {
    this.left = left;
    this.right = right;
    this.leftNames = resourceNames(left);
    this.rightNames = resourceNames(right);
  }

  /** Where two functions differ, for a message (`item.price is u32 here and u64 there`); undefined if they do not. Names of parameters do not count. */
  func(left: FuncType, right: FuncType): string | undefined {
    if (left.params.length !== right.params.length) return `it has ${left.params.length} parameters here and ${right.params.length} there`;
    for (let i = 0; i < left.params.length; i++) {
      const [name, type] = left.params[i] as FuncType['params'][number];
      const found = this.type(type, (right.params[i] as FuncType['params'][number])[1], name);
      if (found) return found;
    }
    return this.optional(left.result, right.result, 'its result');
  }

  private optional(left: TypeRef | null, right: TypeRef | null, path: string): string | undefined {
    if (left !== null && right !== null) return this.type(left, right, path);
    return left === right ? undefined : `${path} is ${this.text(left, this.left)} here and ${this.text(right, this.right)} there`;
  }

  private text(type: TypeRef | null, plan: Plan): string {
    if (type === null) return 'nothing';
    return typeof type === 'string' ? type : `a ${plan.types[type]?.kind}`;
  }

  private type(left: TypeRef, right: TypeRef, path: string): string | undefined {
    const differ = (): string => `${path} is ${this.text(left, this.left)} here and ${this.text(right, this.right)} there`;
    if (typeof left === 'string' || typeof right === 'string') return left === right ? undefined : differ();
    const key = `${left} ${right}`;
    if (this.same.has(key)) return undefined;
    const [one, other] = [this.left.types[left] as TypeDef, this.right.types[right] as TypeDef];
    const found = one.kind === other.kind ? this.definition(one, other, path) : differ();
    if (found === undefined) this.same.add(key);
    return found;
  }

  private definition(one: TypeDef, other: TypeDef, path: string): string | undefined {
    if (one.kind === 'list' && other.kind === 'list') return this.type(one.element, other.element, `an element of ${path}`);
    if (one.kind === 'option' && other.kind === 'option') return this.type(one.type, other.type, path);
    if (one.kind === 'result' && other.kind === 'result')
      return this.optional(one.ok, other.ok, `${path} (ok)`) ?? this.optional(one.err, other.err, `${path} (error)`);
    if (one.kind === 'tuple' && other.kind === 'tuple') return this.members(one.items.map(numbered), other.items.map(numbered), path);
    if (one.kind === 'record' && other.kind === 'record') return this.members(one.fields, other.fields, path);
    if (one.kind === 'variant' && other.kind === 'variant') return this.members(one.cases, other.cases, path);
    if (one.kind === 'enum' && other.kind === 'enum') return this.names(one.cases, other.cases, path);
    if (one.kind === 'flags' && other.kind === 'flags') return this.names(one.names, other.names, path);
    const [left, right] = [this.leftNames[(one as { resource: number }).resource], this.rightNames[(other as { resource: number }).resource]];
    return left !== undefined && left === right
      ? undefined
      : `${path} is a ${left ?? 'resource of its own'} here and a ${right ?? 'resource of its own'} there`;
  }

  private names(left: readonly string[], right: readonly string[], path: string): string | undefined {
    const at = left.findIndex((name, i) => name !== right[i]);
    if (at < 0 && left.length === right.length) return undefined;
    const index = at < 0 ? left.length : at;
    return `${path}.${left[index] ?? right[index]}: number ${index + 1} is ${left[index] ?? 'missing'} here and ${right[index] ?? 'missing'} there`;
  }

  private members(left: readonly [string, TypeRef | null][], right: readonly [string, TypeRef | null][], path: string): string | undefined {
    const names = this.names(
      left.map(([name]) => name),
      right.map(([name]) => name),
      path,
    );
    if (names !== undefined) return names;
    for (let i = 0; i < left.length; i++) {
      const [name, type] = left[i] as [string, TypeRef | null];
      const found = this.optional(type, right[i]?.[1] ?? null, `${path}.${name}`);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

const numbered = (type: TypeRef, index: number): [string, TypeRef] => [String(index), type];
