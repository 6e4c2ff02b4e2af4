import { Problem } from '../base/errors.ts';
import { nearest } from '../base/nearest.ts';
import { hostNameOf } from '../component/host.ts';
import type { FuncType, ImportedFunction, Plan } from '../component/plan.ts';
import type { HostSignatures } from '../component/wit/signatures.ts';
import { isCompatible, shown, versionOf } from './interface-name.ts';
import { TypeMatch } from './match-types.ts';
import { hostText, planText } from './type-text.ts';

/** Names of the functions that the host implements, by the host's name of the interface. */
export type Implemented = ReadonlyMap<string, readonly string[]>;

const PROBLEMS_MAX = 20;

class ImportCheck {
  /** The first problems; `more` counts the others, which are not worded. */
  readonly problems: string[] = [];
  more = 0;
  private readonly plan: Plan;
  private readonly host: HostSignatures;
  private readonly implemented: Implemented;
  private readonly match: TypeMatch;
  private readonly open: boolean;
  /** `interface#function` of what is really called or handed out. */
  private readonly used: ReadonlySet<string>;

  constructor(plan: Plan, host: HostSignatures, implemented: Implemented, open: boolean) {
    this.open = open;
    this.plan = plan;
    this.host = host;
    this.implemented = implemented;
    this.match = new TypeMatch(plan, host);
    this.used = usedFunctions(plan);
  }

  private report(problem: () => string): void {
    if (this.problems.length < PROBLEMS_MAX) this.problems.push(problem());
    else this.more++;
  }

  interface({ interface: name, functions }: Plan['imports'][number]): void {
    if (functions.length === 0) return;
    const bare = hostNameOf(name, this.host.interfaces);
    const known = this.host.interfaces.get(bare);
    if (this.open && isOpen(name, this.host, this.implemented)) {
      if (known) for (const func of functions) this.function(name, func, known, [...known.keys()]);
      return;
    }
    const implemented = this.implemented.get(bare);
    if (name === '') {
      for (const func of functions) this.report(() => `the function ${shown(func.name)} is imported without an interface, which this node does not provide`);
    } else if (!known || !implemented) this.report(() => this.unknown(name, bare));
    else if (!isCompatible(versionOf(name), this.host.versions.get(bare) ?? '')) this.report(() => this.wrongVersion(name, bare));
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

  private function(name: string, { name: func, type }: ImportedFunction, known: ReadonlyMap<string, FuncType>, implemented: readonly string[]): void {
    const wanted = known.get(func);
    if (!wanted) this.report(() => this.unknownFunction(name, func, implemented));
    else if (!this.match.sameFunc(type, wanted)) {
      this.report(() => `${shown(name)} ${func} is imported as ${planText(this.plan).func(type)}, this node has ${hostText(this.host).func(wanted)}`);
    } else if (!implemented.includes(func) && this.used.has(`${name}#${func}`)) {
      this.report(() => `${shown(name)} ${func} is not implemented by this node`);
    }
  }

  private unknownFunction(name: string, func: string, implemented: readonly string[]): string {
    const near = nearest(func, implemented);
    return `${shown(name)} has no function ${shown(func)}${near === undefined ? '' : `; the nearest is ${near}`}`;
  }
}

function usedFunctions(plan: Plan): Set<string> {
  const refs = [...plan.lowers.map((lower) => lower.func), ...plan.exports.flatMap((item) => item.functions.map((func) => func.func))];
  return new Set(refs.flatMap((ref) => (ref.from === 'host' ? [`${ref.interface}#${ref.name}`] : [])));
}

/** Whether only a sidecar can provide an imported interface: nobody meant one of the host's. */
function isOpen(name: string, host: HostSignatures, implemented: Implemented): boolean {
  const bare = hostNameOf(name, host.interfaces);
  if (name === '' || implemented.has(bare)) return false;
  return host.interfaces.has(bare) ? isCompatible(versionOf(name), host.versions.get(bare) ?? '') : nearest(bare, implemented.keys()) === undefined;
}

/** The interfaces that sidecars have to provide. */
export function openImports(plan: Plan, host: HostSignatures, implemented: Implemented): string[] {
  return plan.imports.filter(({ interface: name, functions }) => functions.length > 0 && isOpen(name, host, implemented)).map((imported) => imported.interface);
}

/**
 * Checks that the host provides each imported function with the very type that the component declares. Interfaces of
 * which only types are imported need no provider. All problems are listed at once.
 *
 * @param open leave out what only sidecars can provide: that is checked when the function is deployed
 * @throws Problem `import-unknown`
 */
export function checkImports(plan: Plan, host: HostSignatures, implemented: Implemented, open = false): void {
  const check = new ImportCheck(plan, host, implemented, open);
  for (const imported of plan.imports) check.interface(imported);
  const { problems, more } = check;
  if (problems.length === 0) return;
  const rest = more > 0 ? `; and ${more} more` : '';
  throw new Problem('import-unknown', `cannot provide what the component imports: ${problems.join('; ')}${rest}`, problems);
}
