import { createHash } from 'node:crypto';
import type { Composition } from '../sidecar/composition.ts';
import type { Ground } from './ground.ts';
import { secretKey, secretPrefix } from './keys.ts';
import type { SecretRecord, VersionRecord } from './model.ts';
import { scanValues } from './scan.ts';

/** Under which name a function keeps a secret that one of its sidecars has: no secret of its own has a `/`. */
const secretName = (sidecar: string, name: string): string => `${sidecar}/${name}`;

/** Names under which a function keeps the secrets of its sidecars. */
export const secretsOf = (sidecars: readonly { name: string; secrets?: string[] | undefined }[]): string[] =>
  sidecars.flatMap(({ name, secrets }) => (secrets ?? []).map((secret) => secretName(name, secret)));

/** Whether one of its secrets has no value yet. */
export const missingSecret = (sidecar: { name: string; secrets?: string[] | undefined }, values: ReadonlyMap<string, string>): boolean =>
  secretsOf([sidecar]).some((name) => !values.has(name));

/** Names of all secrets of a version, its own and those of its sidecars (`SIDECAR/NAME`). */
export function secretsWanted({ manifest, composition }: Pick<VersionRecord, 'manifest' | 'composition'>): string[] {
  // Versions of before there were sidecars have none.
  const named = (manifest.sidecars ?? []).map(({ use, secrets }) => ({ name: use.split('@')[0] as string, secrets }));
  return [...new Set([...manifest.secrets, ...secretsOf([...named, ...(composition?.sidecars ?? [])])])];
}

/** Values of secrets of a function by their names: those of `wanted` that have one. */
export async function openSecrets(
  { table, sealer }: Pick<Ground, 'table' | 'sealer'>,
  tenant: string,
  name: string,
  wanted: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  if (wanted.length === 0) return new Map();
  const records = (await scanValues<SecretRecord>(table, secretPrefix(tenant, name))).filter((secret) => wanted.includes(secret.name));
  return new Map(records.map((secret) => [secret.name, sealer.open(secretKey(tenant, name, secret.name), secret.sealed)]));
}

/** Gives each sidecar its own secrets among its settings. Those with different ones share no instance. */
export const withSecrets = (composition: Composition, values: ReadonlyMap<string, string>): Composition => ({
  ...composition,
  sidecars: composition.sidecars.map((sidecar) => {
    const given = (sidecar.secrets ?? []).flatMap((secret): [string, string][] => {
      const value = values.get(secretName(sidecar.name, secret));
      return value === undefined ? [] : [[secret, value]];
    });
    if (given.length === 0) return sidecar;
    const sharedAs = sidecar.sharedAs && `${sidecar.sharedAs} ${createHash('sha256').update(JSON.stringify(given)).digest('hex')}`;
    return { ...sidecar, settings: [...sidecar.settings, ...given], ...(sharedAs ? { sharedAs } : {}) };
  }),
});
