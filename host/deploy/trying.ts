import { Problem } from '../base/errors.ts';
import { type ComposedSidecar, sidecarLabel } from '../sidecar/composition.ts';
import { composed, defaultUse } from './composing.ts';
import type { Ground } from './ground.ts';
import type { SidecarRecord } from './model.ts';
import { missingSecret, openSecrets, secretsOf, withSecrets } from './sidecar-secrets.ts';

type Trying = Pick<Ground, 'table' | 'sealer' | 'trial'>;

const rejection = (action: string, { name, version }: Pick<ComposedSidecar, 'name' | 'version'>, why: string): Problem =>
  new Problem('sidecar-invalid', `cannot ${action}: ${version === '' ? `"${name}"` : sidecarLabel({ name, version })} does not take its configuration: ${why}`);

/** @throws Problem `sidecar-invalid` if an image does not take the configuration that it has with it */
export const requireTakesSettings = async ({ trial, ceilings }: Pick<Ground, 'trial' | 'ceilings'>, record: SidecarRecord): Promise<void> => {
  if (!record.kinds.includes('companion')) return;
  const sidecar = composed(record.tenant, '', { record, use: defaultUse(record.name), why: 'manifest' });
  const refusal = await trial({ ...sidecar, limits: { ...sidecar.limits, memoryMib: ceilings.memoryMib } });
  if (refusal !== undefined) throw rejection('add the sidecar', record, refusal);
};

/**
 * Asks those without which a function does not run whether they take their configuration; not those whose secrets have no
 * value yet.
 * @throws Problem `sidecar-invalid` with what the first one says that does not
 */
export const requireConfigurable = async (ground: Trying, tenant: string, name: string, sidecars: readonly ComposedSidecar[]): Promise<void> => {
  const tried = sidecars.filter(({ required, kinds }) => required && kinds.includes('companion'));
  if (tried.length === 0) return;
  const secrets = await openSecrets(ground, tenant, name, secretsOf(tried));
  for (const sidecar of withSecrets({ sidecars: tried, links: [], chain: [], order: [] }, secrets).sidecars) {
    if (missingSecret(sidecar, secrets)) continue;
    const refusal = await ground.trial(sidecar);
    if (refusal !== undefined) throw rejection(`deploy "${name}"`, sidecar, refusal);
  }
};
