import { Problem } from '../base/errors.ts';
import type { Plan } from '../component/plan.ts';
import type { HostSignatures } from '../component/wit/signatures.ts';
import { isCompatible, shown, versionOf, withoutVersion } from './interface-name.ts';
import { TypeMatch } from './match-types.ts';
import { hostText, planText } from './type-text.ts';

/** What a component can be called by, with the function that is called. */
const ENTRIES = [
  ['wasi:http/incoming-handler', 'handle'],
  ['wasi:messaging/incoming-handler', 'handle'],
  ['wasi:cli/run', 'run'],
] as const;
const LIFECYCLE = 'nacelle:sidecar/lifecycle';
const NAMES_MAX = 20;

function exportedNames(plan: Plan): string {
  const names = plan.exports.flatMap((item) => (item.interface === '' ? item.functions.map((func) => func.name) : item.interface));
  return names.slice(0, NAMES_MAX).map(shown).join(', ') || 'none';
}

/**
 * Checks that the component exports `wasi:http/incoming-handler@0.2`, `wasi:messaging/incoming-handler@0.2.0-draft` or
 * `wasi:cli/run@0.2` over the host's types, or else an interface that makes it of use to others.
 *
 * @throws Problem `module-invalid`, which says what is exported instead
 */
export function checkHandler(plan: Plan, host: HostSignatures): void {
  const found = ENTRIES.flatMap(([name, func]) => {
    const exported = plan.exports.find(
      (item) => withoutVersion(item.interface) === name && isCompatible(versionOf(item.interface), host.versions.get(name) ?? ''),
    );
    return exported ? [{ name, func, exported }] : [];
  });
  for (const { name, func, exported } of found) checkFunction(plan, host, exported, name, func);
  if (found.length > 0 || plan.exports.some(({ interface: name }) => name !== '' && !name.startsWith('wasi:'))) return;
  const names = `${ENTRIES[0][0]}@0.2, ${ENTRIES[1][0]}@0.2.0-draft or ${ENTRIES[2][0]}@0.2`;
  throw new Problem('module-invalid', `cannot run the component: it must export ${names}, its exports are ${exportedNames(plan)}`);
}

function checkFunction(plan: Plan, host: HostSignatures, exported: Plan['exports'][number], name: string, func: string): void {
  const own = exported.functions.find((candidate) => candidate.name === func);
  const wanted = host.interfaces.get(name)?.get(func);
  if (!wanted || (own && new TypeMatch(plan, host).sameFunc(own.type, wanted))) return;
  const found = own ? `it has ${planText(plan).func(own.type)}` : 'it has none';
  throw new Problem('module-invalid', `cannot run the component: ${exported.interface} must have ${func}: ${hostText(host).func(wanted)}, ${found}`);
}

/**
 * Checks that a component which exports `nacelle:sidecar/lifecycle` has all of its functions, with their types.
 *
 * @throws Problem `module-invalid`, which says what is wrong with which
 */
export function checkLifecycle(plan: Plan, host: HostSignatures): void {
  const exported = plan.exports.find(({ interface: name }) => withoutVersion(name) === LIFECYCLE);
  if (!exported) return;
  const version = host.versions.get(LIFECYCLE) ?? '';
  const problems = versionOf(exported.interface) === version ? [] : [`this node has ${LIFECYCLE}@${version}`];
  const match = new TypeMatch(plan, host);
  for (const [name, wanted] of host.interfaces.get(LIFECYCLE) ?? []) {
    const func = exported.functions.find((candidate) => candidate.name === name);
    if (!func) problems.push(`it has no ${name}`);
    else if (!match.sameFunc(func.type, wanted)) problems.push(`${name} must be ${hostText(host).func(wanted)}, it is ${planText(plan).func(func.type)}`);
  }
  if (problems.length > 0) throw new Problem('module-invalid', `cannot run the component: it exports ${exported.interface}: ${problems.join('; ')}`, problems);
}
