/** What verdicts change of a function for the requests to come, and what `show` says of it. */
import { Problem } from '../base/errors.ts';
import type { ChangeNote } from '../verdict/judging.ts';
import type { Settings } from '../verdict/model.ts';
import type { FunctionReader } from './function-reader.ts';
import { newRevision } from './function-secrets.ts';
import type { Ground } from './ground.ts';
import type { Manifest } from './manifest-schema.ts';
import type { Adjusted, FunctionChange, FunctionRecord, VersionRecord } from './model.ts';

const changesMax = 20;

export const withChanges = ({ changes = [] }: FunctionRecord, more: readonly FunctionChange[]): Pick<FunctionRecord, 'changes'> =>
  changes.length + more.length === 0 ? {} : { changes: [...changes, ...more].slice(-changesMax) };

/** A manifest as it is in force. */
export const adjustedManifest = (manifest: Manifest, { limits, fleet, prewarm }: Adjusted = {}): Pick<Manifest, 'limits' | 'capacity'> => ({
  limits: { ...manifest.limits, ...Object.fromEntries(Object.entries(limits ?? {}).filter(([, value]) => value !== undefined)) },
  capacity: { ...manifest.capacity, ...(fleet && { fleet }), ...(prewarm !== undefined && { prewarm }) },
});

/** What of a function is as it was not before, by the names of the manifest. */
const differences = (
  before: Pick<Manifest, 'limits' | 'capacity'>,
  after: Pick<Manifest, 'limits' | 'capacity'>,
): Pick<FunctionChange, 'what' | 'from' | 'to'>[] =>
  (['limits', 'capacity'] as const).flatMap((section) =>
    Object.entries<string | number>(after[section] as Record<string, string | number>).flatMap(([key, to]) => {
      const from = (before[section] as Record<string, string | number>)[key] ?? null;
      return from === to ? [] : [{ what: `${section}.${key}`, from, to }];
    }),
  );

/** @throws Problem `version-not-found`, `not-found`, `manifest-invalid` */
export const adjust = async (
  { table, serial, publish, now }: Ground,
  reader: FunctionReader,
  tenant: string,
  name: string,
  version: number,
  settings: Settings,
  note: ChangeNote,
): Promise<void> => {
  const changed = await serial(async (): Promise<boolean> => {
    const entry = await reader.require(tenant, name);
    const found = await reader.requireVersion(tenant, name, version);
    const { manifest, adjusted: known } = found.value;
    if (settings.fleet === 'resident' && manifest.trust === 'isolated')
      throw new Problem('manifest-invalid', `cannot set capacity.fleet of "${name}" to "resident": trust is "isolated", and gateway threads serve all tenants`);
    const adjusted: Adjusted = { ...known, ...settings, limits: { ...known?.limits, ...settings.limits } };
    const made = differences(adjustedManifest(manifest, known), adjustedManifest(manifest, adjusted));
    if (made.length === 0) return false;
    const at = now();
    const changes = made.map((one): FunctionChange => ({ at, version, ...one, ...note }));
    await table.commit([
      {
        key: entry.key,
        put: { ...entry.value, ...withChanges(entry.value, changes), revision: newRevision() } satisfies FunctionRecord,
        expectRevision: entry.revision,
      },
      { key: found.key, put: { ...found.value, adjusted } satisfies VersionRecord, expectRevision: found.revision },
    ]);
    return true;
  });
  if (changed) await publish();
};
