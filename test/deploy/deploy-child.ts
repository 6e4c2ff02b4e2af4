// Deploys without end on the data directory that it is given, and prints each version that was answered. To be killed.
import { createDeployments } from '../../host/deploy/deployments.ts';
import { HeldBlobs } from '../../host/store/held-blobs.ts';
import { openStore } from '../../host/store/lmdb/store.ts';
import { ceilings, deploy, httpModule } from './fixture.ts';

const { table, blobs } = await openStore(process.argv[2] ?? '', { bytesMax: 256 * 1024 * 1024 });
const deployments = createDeployments({
  table,
  blobs: new HeldBlobs({ table, blobs }),
  ceilings,
  domain: 'localhost',
  secretKey: Buffer.alloc(32),
  prepare: async () => httpModule,
  onRouteTable: async () => undefined,
  moduleKeepMs: 0,
});
await deployments.open();
await deployments.tenants.add('acme', ['/acme/*']);
const start = Date.now();
for (let turn = 0; ; turn += 1) {
  const work = ['default', 'acme'].map(async (tenant) => {
    const name = `f${turn % 3}`;
    const { version } = await deploy(
      { deployments },
      tenant,
      name,
      { routes: tenant === 'acme' ? [`/acme/${name}/${turn % 5}`] : [`/r${turn % 3}/${turn % 5}/*`] },
      `${tenant} ${start} ${turn}`,
    );
    process.stdout.write(`${tenant}/${name}@${version.version}\n`);
    await deployments.functions.secrets.put(tenant, name, 'KEY', `${turn}`);
  });
  await Promise.all(work);
  if (turn % 4 === 3) await deployments.functions.write.remove('acme', `f${turn % 3}`);
  if (turn % 10 === 9) await deployments.tenants.remove('acme').then(() => deployments.tenants.add('acme', ['/acme/*']));
}
