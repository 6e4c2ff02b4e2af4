import { Problem } from '../base/errors.ts';
import { nearest } from '../base/nearest.ts';
import type { Plan } from '../component/plan.ts';
import { shown, versionOf, withoutVersion } from '../module/interface-name.ts';
import { CONFIGURATION, type Composition, HANDLER, LIFECYCLE, type Link, NEXT, type SidecarKind } from './composition.ts';
import { TypeDifference } from './type-difference.ts';
import { compatible } from './version.ts';

/** A component that takes part: `label` for messages, `open` what it imports and the host does not provide. */
export type Candidate = { label: string; plan: Plan; open: readonly string[] /** The only interface that it may provide. */; provides?: string | undefined };

type Exported = Plan['exports'][number];

const isHandler = (name: string): boolean => withoutVersion(name) === HANDLER;
const exportsHandler = (plan: Plan): boolean => plan.exports.some((exported) => isHandler(exported.interface));
const offered = ({ plan, provides }: Candidate): Exported[] =>
  plan.exports.filter(
    ({ interface: name }) =>
      name !== '' && !isHandler(name) && name !== LIFECYCLE && (provides === undefined || withoutVersion(name) === withoutVersion(provides)),
  );

/** What a component is by what it imports and exports; nothing if it is no sidecar. */
export function kindsOf(plan: Plan): SidecarKind[] {
  const imports = plan.imports.filter(({ functions }) => functions.length > 0);
  const passesOn = imports.some(({ interface: name }) => isHandler(name) || name === NEXT);
  const kinds: SidecarKind[] = [];
  if (exportsHandler(plan) && passesOn) kinds.push('middleware');
  if (offered({ label: '', plan, open: [] }).length > 0) kinds.push('provider');
  if (plan.exports.some((exported) => exported.interface === LIFECYCLE)) kinds.push('companion');
  return kinds;
}

/** Why `exported` cannot stand in for the import `wanted` of `importer`; undefined if it can. */
function mismatch(importer: Candidate, wanted: string, provider: Candidate, exported: Exported): string | undefined {
  if (!compatible(versionOf(wanted), versionOf(exported.interface)))
    return `${importer.label} imports ${shown(wanted)}, ${provider.label} has version ${versionOf(exported.interface) || 'none'} of it`;
  const difference = new TypeDifference(importer.plan, provider.plan);
  const functions = importer.plan.imports.find((imported) => imported.interface === wanted)?.functions ?? [];
  for (const { name, type } of functions) {
    const found = exported.functions.find((func) => func.name === name);
    if (!found) {
      const near = nearest(
        name,
        exported.functions.map((func) => func.name),
      );
      return `${importer.label} imports ${shown(wanted)} ${shown(name)}, ${provider.label} has no such function${near ? `; the nearest is ${near}` : ''}`;
    }
    const where = difference.func(type, found.type);
    if (where) return `${importer.label} imports ${shown(wanted)} ${shown(name)} with another type than ${provider.label} has: ${where}`;
  }
  return undefined;
}

/** What of `candidates` provides an import; `problems` say why those of the same name do not. */
export function providersOf(
  importer: Candidate,
  wanted: string,
  candidates: readonly Candidate[],
): { found: { index: number; exported: string }[]; problems: string[] } {
  const found: { index: number; exported: string }[] = [];
  const problems: string[] = [];
  for (const [index, candidate] of candidates.entries()) {
    if (candidate === importer) continue;
    for (const exported of offered(candidate)) {
      if (withoutVersion(exported.interface) !== withoutVersion(wanted)) continue;
      const problem = mismatch(importer, wanted, candidate, exported);
      if (problem === undefined) found.push({ index, exported: exported.interface });
      else problems.push(problem);
    }
  }
  return { found, problems };
}

export type Unmet = { part: number; interface: string; problems: string[] };

/** Interfaces that every sidecar may import; the host provides them. */
const ownInterfaces = new Set([CONFIGURATION, NEXT]);

/** Links the parts, of which the first is the function. What nobody provides is `unmet`. @throws Problem `sidecar-invalid` */
export function compose(parts: readonly Candidate[]): { composition: Omit<Composition, 'sidecars'>; unmet: Unmet[] } {
  const chain = parts.flatMap(({ plan }, index) => (index > 0 && kindsOf(plan).includes('middleware') ? [index] : []));
  const links: Link[] = [];
  const unmet: Unmet[] = [];
  for (const [index, part] of parts.entries()) {
    for (const name of part.open) {
      if (ownInterfaces.has(name) && index > 0) continue;
      if (isHandler(name)) links.push(...handlerLink(parts, chain, index, name));
      else {
        const { found, problems } = providersOf(part, name, parts);
        const [first, ...others] = found.filter((provider) => provider.index > 0);
        if (!first) unmet.push({ part: index, interface: name, problems: found.length > 0 ? [throughFunction(parts[0] as Candidate)] : problems });
        else if (others.length > 0)
          throw ambiguous(
            part,
            name,
            [first, ...others].map((provider) => (parts[provider.index] as Candidate).label),
          );
        else links.push({ from: index, interface: name, to: first.index, exported: first.exported });
      }
    }
  }
  return { composition: { links, chain, order: startOrder(parts, links) }, unmet };
}

const throughFunction = ({ label }: Candidate): string => `${label} itself exports it, but a sidecar cannot call the function that it belongs to`;

export const ambiguous = (importer: Candidate, name: string, labels: readonly string[]): Problem =>
  new Problem('sidecar-invalid', `cannot link ${importer.label}: ${shown(name)} is provided by ${labels.join(' and ')}; name one of them in "sidecars"`);

function handlerLink(parts: readonly Candidate[], chain: readonly number[], index: number, name: string): Link[] {
  const at = chain.indexOf(index);
  const label = (parts[index] as Candidate).label;
  if (at < 0) throw new Problem('sidecar-invalid', `cannot link ${label}: it imports ${name}, but is no middleware: nothing comes after it`);
  const to = chain[at + 1] ?? 0;
  const exported = (parts[to] as Candidate).plan.exports.find((item) => isHandler(item.interface));
  return exported ? [{ from: index, interface: name, to, exported: exported.interface }] : [];
}

/** Whoever provides comes before those whom it provides; else as they were named. @throws Problem `sidecar-invalid` for a circle */
function startOrder(parts: readonly Candidate[], links: readonly Link[]): number[] {
  const order: number[] = [];
  const visit = (index: number, trail: readonly number[]): void => {
    if (trail.includes(index)) {
      const circle = [...trail.slice(trail.indexOf(index)), index].map((part) => (parts[part] as Candidate).label);
      throw new Problem('sidecar-invalid', `cannot link the sidecars in a circle: ${circle.join(' → ')}`);
    }
    if (order.includes(index)) return;
    for (const link of links) if (link.from === index && !isHandler(link.interface)) visit(link.to, [...trail, index]);
    order.push(index);
  };
  for (let index = 1; index < parts.length; index++) visit(index, []);
  visit(0, []);
  return order.filter((index) => index > 0);
}
