import { Problem } from '../base/errors.ts';
import { nearest } from '../base/nearest.ts';
import type { ImportedFunction, Plan } from '../component/plan.ts';
import type { HostSignatures } from '../component/wit/signatures.ts';
import { TypeMatch, withoutVersion } from './match-types.ts';
import { TypeText } from './type-text.ts';

/** Names of the functions that the host implements, by interface name without version. */
export type Implemented = ReadonlyMap<string, readonly string[]>;

const HANDLER = 'wasi:http/incoming-handler';
const PROBLEMS_MAX = 20;
const NAME_MAX = 100;

const shown = (name: string): string => (name.length > NAME_MAX ? `${name.slice(0, NAME_MAX)}…` : name);

/** Releases of 0.2 answer for each other; a draft is taken in any state of the same 0.x, or without version. */
function isCompatible(wanted: string, host: string): boolean {
  const minor = /^\d+\.\d+/.exec(host)?.[0] ?? '';
  if (host.includes('-')) return wanted === '' || wanted === minor || wanted.startsWith(`${minor}.`);
  return new RegExp(`^${minor.replace('.', '\\.')}(\\.\\d+)?$`).test(wanted);
}

class ImportCheck {
  readonly problems: string[] = [];
  private readonly plan: Plan;
  private readonly host: HostSignatures;
  private readonly implemented: Implemented;
  private readonly match: TypeMatch;
  /** `interface#function` of what is really called or handed out. */
  private readonly used: ReadonlySet<string>;

  constructor(plan: Plan, host: HostSignatures, implemented: Implemented) {
    this.plan = plan;
    this.host = host;
    this.implemented = implemented;
    this.match = new TypeMatch(plan, host);
    this.used = usedFunctions(plan);
  }

  interface({ interface: name, functions }: Plan['imports'][number]): void {
    if (functions.length === 0) return;
    if (name === '') {
      for (const { name: func } of functions)
        this.problems.push(`the function ${shown(func)} is imported without an interface, which this node does not provide`);
      return;
    }
    const bare = withoutVersion(name);
    const known = this.host.interfaces.get(bare);
    const implemented = this.implemented.get(bare);
    if (!known || !implemented) this.problems.push(this.unknown(name, bare));
    else if (!isCompatible(name.slice(bare.length + 1), this.host.versions.get(bare) ?? '')) this.problems.push(this.wrongVersion(name, bare));
    else for (const func of functions) this.function(name, func, known, implemented);
  }

  private unknown(name: string, bare: string): string {
    const near = nearest(bare, this.implemented.keys());
    return near === undefined
      ? `${shown(name)} is not provided by this node (compose a component that exports it)`
      : `${shown(name)} is not provided by this node; the nearest is ${near}`;
  }

  private wrongVersion(name: string, bare: string): string {
    const version = this.host.versions.get(bare) ?? '';
    return `${shown(name)} is not provided in this version; this node has ${bare}@${version}${version.includes('-') ? '' : ' and all other releases of 0.2'}`;
  }

  private function(
    name: string,
    { name: func, type }: ImportedFunction,
    known: ReadonlyMap<string, Plan['imports'][number]['functions'][number]['type']>,
    implemented: readonly string[],
  ): void {
    const wanted = known.get(func);
    if (!wanted) {
      const near = nearest(func, implemented);
      this.problems.push(`${shown(name)} has no function ${shown(func)}${near === undefined ? '' : `; the nearest is ${near}`}`);
    } else if (!this.match.sameFunc(type, wanted)) {
      const [own, other] = [this.planText().func(type), this.hostText().func(wanted)];
      this.problems.push(`${shown(name)} ${func} is imported as ${own}, this node has ${other}`);
    } else if (!implemented.includes(func) && this.used.has(`${name}#${func}`)) {
      this.problems.push(`${shown(name)} ${func} is not implemented by this node`);
    }
  }

  /** The exported handler must be the host's too, over the host's requests and responses. */
  handler(): void {
    const exported = this.plan.exports.find(
      (item) => withoutVersion(item.interface) === HANDLER && isCompatible(item.interface.slice(HANDLER.length + 1), '0.2.0'),
    );
    if (!exported) {
      const names = this.plan.exports.map((item) => shown(item.interface) || item.functions.map((func) => shown(func.name)).join(', '));
      throw new Problem(
        'module-invalid',
        `cannot run the component: it must export ${HANDLER}@0.2, its exports are ${names.slice(0, PROBLEMS_MAX).join(', ') || 'none'}`,
      );
    }
    const handle = exported.functions.find((func) => func.name === 'handle');
    const wanted = this.host.interfaces.get(HANDLER)?.get('handle');
    if (handle && wanted && this.match.sameFunc(handle.type, wanted)) return;
    const found = handle ? `it has ${this.planText().func(handle.type)}` : 'it has none';
    throw new Problem(
      'module-invalid',
      `cannot run the component: ${exported.interface} must have handle: ${wanted && this.hostText().func(wanted)}, ${found}`,
    );
  }

  private planText(): TypeText {
    return new TypeText(this.plan.types, (index) => {
      const resource = this.plan.resources[index];
      return resource?.from === 'host' ? shown(resource.name) : 'a resource of its own';
    });
  }

  private hostText(): TypeText {
    return new TypeText(this.host.types, (index) => this.host.resources[index]?.split('#')[1] ?? '');
  }
}

function usedFunctions(plan: Plan): Set<string> {
  const refs = [...plan.lowers.map((lower) => lower.func), ...plan.exports.flatMap((item) => item.functions.map((func) => func.func))];
  return new Set(refs.flatMap((ref) => (ref.from === 'host' ? [`${ref.interface}#${ref.name}`] : [])));
}

/**
 * Checks that the host provides each imported function with the very type that the component declares. Interfaces of
 * which only types are imported need no provider. All problems are listed at once.
 *
 * @throws Problem `import-unknown`
 */
export function checkImports(plan: Plan, host: HostSignatures, implemented: Implemented): void {
  const check = new ImportCheck(plan, host, implemented);
  for (const imported of plan.imports) check.interface(imported);
  const { problems } = check;
  if (problems.length === 0) return;
  const listed = problems.slice(0, PROBLEMS_MAX);
  const more = problems.length > listed.length ? `; and ${problems.length - listed.length} more` : '';
  throw new Problem('import-unknown', `cannot provide what the component imports: ${listed.join('; ')}${more}`, listed);
}

/** @throws Problem `module-invalid` if the component does not export `wasi:http/incoming-handler@0.2` */
export function checkHandler(plan: Plan, host: HostSignatures): void {
  new ImportCheck(plan, host, new Map()).handler();
}
