/** Versions as they are to run for one execution: with other limits than are live, or one that is not live at all. */
import { type ErrorCode, Problem } from '../base/errors.ts';
import type { DeployedVersion } from '../deploy/route-table.ts';
import type { Change, Limits } from '../verdict/model.ts';

export type VariantsOptions = {
  live: (tenant: string, name: string) => { version: DeployedVersion } | { refused: ErrorCode };
  /** A version that need not be live. @throws Problem `version-not-found` */
  describe: (tenant: string, name: string, version: number) => Promise<DeployedVersion>;
  /** Makes a version that no route table has runnable by its key. */
  lend: (version: DeployedVersion) => void;
};

/** `memoryMib:128`, for what is set. */
const listed = (limits: Change['limits']): string =>
  Object.entries(limits ?? {})
    .flatMap(([key, value]) => (value === undefined ? [] : [`${key}:${value}`]))
    .sort()
    .join(',');

/** With the limits that a change names, which may be of a time when there was more to have. */
const limited = (base: DeployedVersion, change: Change['limits']): DeployedVersion => {
  const limits = Object.fromEntries(
    Object.entries(change ?? {}).flatMap(([key, value]) =>
      value === undefined ? [] : [[key, Math.min(value, base.ceilings?.[key as keyof Limits] ?? value)]],
    ),
  );
  return { ...base, key: `${base.key}+lent:${listed(limits)}`, limits: { ...base.limits, ...limits }, prewarm: 0 };
};

/** A version that can be run by its key. `wanted`: of several live versions the one that is meant. @throws Problem `version-not-found`, `function-not-found`, `tenant-suspended` */
export const variantOf = async (
  { live, describe, lend }: VariantsOptions,
  tenant: string,
  name: string,
  { version, limits }: Pick<Change, 'version' | 'limits'>,
  wanted?: DeployedVersion,
): Promise<DeployedVersion> => {
  const found = wanted ? { version: wanted } : live(tenant, name);
  if ('refused' in found) throw new Problem(found.refused, `cannot run "${name}" now`);
  const isLive = version === undefined || version === found.version.version;
  if (isLive && listed(limits) === '') return found.version;
  const base = isLive ? found.version : await describe(tenant, name, version);
  const variant = limited(base, limits);
  lend(variant);
  return variant;
};
