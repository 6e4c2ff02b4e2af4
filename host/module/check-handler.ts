import { Problem } from '../base/errors.ts';
import type { Plan } from '../component/plan.ts';
import type { HostSignatures } from '../component/wit/signatures.ts';
import { isCompatible, shown, versionOf, withoutVersion } from './interface-name.ts';
import { TypeMatch } from './match-types.ts';
import { hostText, planText } from './type-text.ts';

const HANDLER = 'wasi:http/incoming-handler';
const NAMES_MAX = 20;

function exportedNames(plan: Plan): string {
  const names = plan.exports.flatMap((item) => (item.interface === '' ? item.functions.map((func) => func.name) : item.interface));
  return names.slice(0, NAMES_MAX).map(shown).join(', ') || 'none';
}

/**
 * Checks that the component exports `wasi:http/incoming-handler@0.2` over the host's requests and responses, or else an
 * interface that makes it of use to others.
 *
 * @throws Problem `module-invalid`, which says what is exported instead
 */
export function checkHandler(plan: Plan, host: HostSignatures): void {
  const exported = plan.exports.find(
    ({ interface: name }) => withoutVersion(name) === HANDLER && isCompatible(versionOf(name), host.versions.get(HANDLER) ?? ''),
  );
  if (!exported && plan.exports.some(({ interface: name }) => name !== '' && !name.startsWith('wasi:'))) return;
  if (!exported) throw new Problem('module-invalid', `cannot run the component: it must export ${HANDLER}@0.2, its exports are ${exportedNames(plan)}`);
  const handle = exported.functions.find((func) => func.name === 'handle');
  const wanted = host.interfaces.get(HANDLER)?.get('handle');
  if (!wanted || (handle && new TypeMatch(plan, host).sameFunc(handle.type, wanted))) return;
  const found = handle ? `it has ${planText(plan).func(handle.type)}` : 'it has none';
  throw new Problem('module-invalid', `cannot run the component: ${exported.interface} must have handle: ${hostText(host).func(wanted)}, ${found}`);
}
