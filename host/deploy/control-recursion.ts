import { Problem } from '../base/errors.ts';
import type { Table } from '../store/table.ts';
import { controlsOf } from '../verdict/model.ts';
import { functionKey, functionPrefix, versionKey } from './keys.ts';
import type { Manifest } from './manifest-schema.ts';
import type { FunctionRecord, VersionRecord } from './model.ts';
import { scanAll } from './scan.ts';

const liveManifests = async (table: Table, tenant: string, { name, live }: FunctionRecord): Promise<Manifest[]> => {
  const entries = await Promise.all(live.map(({ version }) => table.get<VersionRecord>(versionKey(tenant, name, version))));
  return entries.flatMap((entry) => (entry ? [entry.value.manifest] : []));
};

const recursion = (name: string, why: string): Problem => new Problem('control-recursion', `cannot set "${name}" live: ${why}`);

/**
 * A function that judges others is judged by nobody, in whichever order the two were deployed. To be called before a version
 * goes live.
 * @throws Problem `control-recursion`
 */
export const requireNoRecursion = async (table: Table, tenant: string, manifest: Manifest): Promise<void> => {
  const { name } = manifest;
  const controls = controlsOf(manifest);
  if (controls.length === 0) return;
  if (controls.includes(name)) throw recursion(name, 'it names itself in onFailure.control or onResult');
  for (const control of controls) {
    const found = await table.get<FunctionRecord>(functionKey(tenant, control));
    const judged = found ? (await liveManifests(table, tenant, found.value)).find((other) => controlsOf(other).length > 0) : undefined;
    if (judged) throw recursion(name, `the function "${control}" that it names has one itself, "${controlsOf(judged)[0]}"`);
  }
  for await (const { value } of scanAll<FunctionRecord>(table, functionPrefix(tenant)))
    if (value.name !== name && (await liveManifests(table, tenant, value)).some((other) => controlsOf(other).includes(name)))
      throw recursion(name, `it names "${controls[0]}", and is itself named by "${value.name}"`);
};

/** @throws Problem `manifest-invalid` */
export const requireControls = async (table: Table, tenant: string, manifest: Manifest): Promise<void> => {
  for (const control of controlsOf(manifest))
    if (control !== manifest.name && !(await table.get(functionKey(tenant, control))))
      throw new Problem('manifest-invalid', `cannot deploy "${manifest.name}": there is no function "${control}", which onFailure.control or onResult names`);
};
