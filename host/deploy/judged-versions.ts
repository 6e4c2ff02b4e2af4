import type { JudgingOptions } from '../verdict/judging.ts';
import { adjust } from './adjusting.ts';
import type { FunctionReader } from './function-reader.ts';
import type { FunctionWriter } from './function-writer.ts';
import type { Ground } from './ground.ts';
import { versionKey } from './keys.ts';
import type { VersionRecord } from './model.ts';
import type { DeployedVersion } from './route-table.ts';
import type { RouteTableBuilder } from './snapshot.ts';

/** What verdicts ask of deployments. */
export type JudgedVersions = Pick<JudgingOptions, 'hasVersion' | 'rollback' | 'isNew' | 'prove' | 'adjust'> & {
  /** A version that need not be live, to be run in isolates. @throws Problem `not-found`, `version-not-found` */
  describe: (tenant: string, name: string, version: number) => Promise<DeployedVersion>;
};

export const createJudgedVersions = (
  ground: Ground,
  { read, write }: { read: FunctionReader; write: FunctionWriter },
  builder: Pick<RouteTableBuilder, 'describe'>,
): JudgedVersions => ({
  hasVersion: async (tenant, name, version) => (await ground.table.get(versionKey(tenant, name, version))) !== undefined,
  describe: (tenant, name, version) => builder.describe(tenant, name, version),
  rollback: async (tenant, name, from, note) => (await write.rollback(tenant, name, { from, note })).live[0]?.version ?? from,
  isNew: async (tenant, name, version) => !(await read.requireVersion(tenant, name, version)).value.proven,
  prove: (tenant, name, version) =>
    ground.serial(async () => {
      const { key, value, revision } = await read.requireVersion(tenant, name, version);
      await ground.table.commit([{ key, put: { ...value, proven: true } satisfies VersionRecord, expectRevision: revision }]);
    }),
  adjust: (tenant, name, version, settings, note) => adjust(ground, read, tenant, name, version, settings, note),
});
