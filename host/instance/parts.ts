/** The components of a function with sidecars, linked: what a thread makes once of a composition and its modules. */
import type { HostInterface } from '../component/host.ts';
import { Linker } from '../component/link.ts';
import type { Plan } from '../component/plan.ts';
import { type ComposedSidecar, type Composition, HANDLER, LIFECYCLE, type Link } from '../sidecar/composition.ts';
import type { ExecutionPorts, Grant, Peers, WasiContext } from '../wasi/context.ts';
import { hostInterfaces } from '../wasi/p2/index.ts';
import { sidecarInterfaces } from '../wasi/p2/sidecar.ts';
import { type CompiledArtifact, initialPages, pagesPerMib } from './compiled.ts';
import { Instance, type InstanceLimits } from './instance.ts';
import { Pace } from './pace.ts';

/** A composition whose sidecars are compiled, to be posted to threads. */
export type CompiledComposition = Omit<Composition, 'sidecars'> & { sidecars: CompiledSidecar[] };
export type CompiledSidecar = ComposedSidecar & { artifact: CompiledArtifact; grant: Grant };

/** One component of a group. `sidecar` is undefined for the function itself. */
export type Part = {
  index: number;
  sidecar: CompiledSidecar | undefined;
  plan: Plan;
  /** Whether its instances can be put back. */
  restorable: boolean;
  /** What provides its imports, by their names. */
  links: ReadonlyMap<string, Link>;
  /** It wants to be told of its life. */
  lives: boolean;
  /** The name of the handler that it exports, if it does. */
  handler: string | undefined;
  /** How long the calls of its life take in this thread. */
  pace: Pace;
  make(ports: ExecutionPorts, peers: Peers): Instance;
};

const partOf = (name: string, index: number): string => (index === 0 ? 'the function' : name);

/** What part `from` imports of others, as interfaces of a host that asks the group. */
function linkedInterfaces({ links }: CompiledComposition, from: number, plan: Plan): HostInterface<WasiContext>[] {
  return links.flatMap((link) => {
    const imported = plan.imports.find(({ interface: name }) => name === link.interface);
    if (link.from !== from || !imported) return [];
    const names = imported.functions.map(({ name }) => name);
    const call =
      (name: string) =>
      ({ peers }: WasiContext, ...parameters: never[]) =>
        (peers as Peers).call(link.interface, name, parameters);
    return {
      name: link.interface,
      functions: Object.fromEntries(names.map((name) => [name, call(name)])),
      suspending: names,
      drop: Object.fromEntries(imported.resources.map((name) => [name, (_: WasiContext, resource: never) => (resource as { destroy(): void }).destroy()])),
    };
  });
}

type Ingredients = { artifact: CompiledArtifact; grant: Grant; limits: { memoryMib: number; cpuMs: number } };

/** Throws if it cannot be linked. */
export function makePart(composition: CompiledComposition, index: number, { artifact, grant, limits }: Ingredients): Part {
  const { plan, modules, restorable } = artifact;
  const linked = [...linkedInterfaces(composition, index, plan), ...(index > 0 ? sidecarInterfaces : [])];
  const interfaces = linked.length === 0 ? hostInterfaces : new Map([...hostInterfaces, ...linked.map((table) => [table.name, table] as const)]);
  const linker = new Linker<WasiContext>(plan, modules, interfaces);
  const instanceLimits: InstanceLimits = { memoryPages: limits.memoryMib * pagesPerMib, cpuMs: limits.cpuMs };
  const pages = initialPages(artifact);
  return {
    index,
    sidecar: composition.sidecars[index - 1],
    plan,
    restorable,
    links: new Map(composition.links.filter((link) => link.from === index).map((link) => [link.interface, link])),
    lives: index > 0 && plan.exports.some((exported) => exported.interface === LIFECYCLE),
    handler: plan.exports.find((exported) => exported.interface.startsWith(`${HANDLER}@`))?.interface,
    pace: new Pace(),
    make: (ports, peers) => Instance.prepare(linker, instanceLimits, pages, grant, ports, peers),
  };
}

/** Throws if one of them cannot be linked. */
export function makeParts(main: Ingredients, composition: CompiledComposition): Part[] {
  return [main, ...composition.sidecars].map((ingredients, index) => {
    try {
      return makePart(composition, index, ingredients);
    } catch (error) {
      throw new Error(`cannot link ${partOf(composition.sidecars[index - 1]?.name ?? '', index)}: ${(error as Error).message}`, { cause: error });
    }
  });
}
