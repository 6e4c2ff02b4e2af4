import { Problem } from '../base/errors.ts';
import { isJudged } from '../verdict/model.ts';
import type { Manifest } from './manifest-schema.ts';
import type { ModuleRecord } from './model.ts';
import type { DeployedVersion } from './route-table.ts';

/** Whether executions of the function may run in an overlay, where what they do can be taken back until they are committed. */
const runsInOverlay = (manifest: Manifest): boolean => manifest.guarantee !== undefined || manifest.events.length > 0 || isJudged(manifest);

const handler = 'wasi:http/outgoing-handler';

/** Whether what executions of a version do cannot be undone as a whole, and it was not said that this may be. */
export const isIrreversible = ({ outboundHosts, guarantee }: DeployedVersion): boolean => outboundHosts.length > 0 && guarantee?.outbound !== 'allow';

/** A request that was sent cannot be taken back. @throws Problem `guarantee-irreversible` */
export const requireReversible = ({ imports }: Pick<ModuleRecord, 'imports'>, manifest: Manifest): void => {
  const { http } = manifest.capabilities;
  if (!runsInOverlay(manifest) || http.length === 0 || manifest.guarantee?.outbound === 'allow') return;
  const imported = imports.find((name) => name.startsWith(handler));
  throw new Problem(
    'guarantee-irreversible',
    `cannot deploy "${manifest.name}": its executions can be undone, but requests by ${imported ?? handler} cannot, and capabilities.http allows ${http.join(', ')}`,
  );
};
