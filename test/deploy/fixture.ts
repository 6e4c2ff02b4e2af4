import { createHash } from 'node:crypto';
import { createDeployments, type DeploymentOptions, type Deployments } from '../../host/deploy/deployments.ts';
import type { ModuleSummary } from '../../host/deploy/model.ts';
import type { RouteTable } from '../../host/deploy/route-table.ts';
import { HeldBlobs } from '../../host/store/held-blobs.ts';
import { MemoryBlobs } from '../../host/store/memory/blobs.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';

export const ceilings = { memoryMib: 512, cpuMs: 30_000, timeMs: 300_000, bodyMib: 64 };
export const httpModule: ModuleSummary = { imports: ['wasi:http/types@0.2.0'], exports: ['wasi:http/incoming-handler@0.2.0'], unrestorable: [] };

export const digestOf = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`;

export async function* chunksOf(text: string): AsyncGenerator<Uint8Array, void, void> {
  for (const character of text) yield Buffer.from(character);
}

/** Deployments over stores in memory, with every route table they handed out and every digest they prepared. */
export type Fixture = {
  deployments: Deployments;
  tables: RouteTable[];
  prepared: string[];
  forgotten: string[];
  table: MemoryTable;
  blobs: MemoryBlobs;
  held: HeldBlobs;
  clock: { now: number };
};

export type FixtureOptions = Partial<Omit<DeploymentOptions, 'table' | 'blobs'>> & { table?: MemoryTable | undefined; blobs?: MemoryBlobs | undefined };

export const openFixture = async ({ table = new MemoryTable(), blobs = new MemoryBlobs(), ...options }: FixtureOptions = {}): Promise<Fixture> => {
  const fixture = {
    tables: [] as RouteTable[],
    prepared: [] as string[],
    forgotten: [] as string[],
    table,
    blobs,
    held: new HeldBlobs({ table, blobs }),
    clock: { now: 1_000_000 },
  };
  const deployments = createDeployments({
    table,
    blobs: fixture.held,
    ceilings,
    domain: 'localhost',
    secretKey: Buffer.alloc(32, 7),
    prepare: async (digest) => {
      fixture.prepared.push(digest);
      return httpModule;
    },
    onRouteTable: async (table) => void fixture.tables.push(table),
    forget: async (tenant, name) => void fixture.forgotten.push(`${tenant}/${name}`),
    now: () => fixture.clock.now,
    ...options,
  });
  await deployments.open();
  return { ...fixture, deployments };
};

/** Uploads `text` as a module of the tenant. @returns its digest */
export const upload = async ({ deployments }: Pick<Fixture, 'deployments'>, tenant: string, text: string): Promise<string> =>
  (await deployments.modules.upload(tenant, chunksOf(text), { bytesMax: 1024 })).module.digest;

/** Deploys a function whose module is its own text. */
export const deploy = async (
  fixture: Pick<Fixture, 'deployments'>,
  tenant: string,
  name: string,
  manifest: Record<string, unknown> = {},
  text = `${tenant} ${name}`,
) => fixture.deployments.functions.write.deploy(tenant, { name, module: await upload(fixture, tenant, text), ...manifest });

/** The code of the problem that an action ends with, or undefined. */
export const codeOf = async (action: Promise<unknown>): Promise<string | undefined> =>
  action.then(
    () => undefined,
    (error: { code?: string }) => error.code ?? String(error),
  );
