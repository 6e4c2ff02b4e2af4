import { Problem } from '../base/errors.ts';
import { type ComposedSidecar, type Composition, sidecarLabel } from '../sidecar/composition.ts';
import { isJudged } from '../verdict/model.ts';
import type { Manifest } from './manifest-schema.ts';
import type { ModuleRecord } from './model.ts';
import type { DeployedVersion } from './route-table.ts';

/** Whether executions of the function may run in an overlay, where what they do can be taken back until they are committed. */
const runsInOverlay = (manifest: Manifest): boolean => manifest.guarantee !== undefined || manifest.events.length > 0 || isJudged(manifest);

const handler = 'wasi:http/outgoing-handler';

/** What shared instances write is not part of one execution. */
const writesForAll = ({ scope, keyvalue }: ComposedSidecar): boolean => scope !== 'execution' && keyvalue.length > 0;

/** Whether what executions of a version do cannot be undone as a whole, and it was not said that this may be. */
export const isIrreversible = ({ outboundHosts, guarantee, composition }: DeployedVersion): boolean =>
  guarantee?.outbound !== 'allow' &&
  (outboundHosts.length > 0 || (composition?.sidecars ?? []).some((sidecar) => sidecar.outboundHosts.length > 0 || writesForAll(sidecar)));

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

/** Nor can those of sidecars, and what shared ones write. @throws Problem `guarantee-irreversible` */
export const requireReversibleSidecars = (manifest: Manifest, composition: Composition | undefined): void => {
  if (!composition || !runsInOverlay(manifest) || manifest.guarantee?.outbound === 'allow') return;
  for (const sidecar of composition.sidecars) {
    const { scope, outboundHosts, keyvalue } = sidecar;
    const lasting =
      outboundHosts.length > 0
        ? `requests of the sidecar ${sidecarLabel(sidecar)} by ${handler} cannot, and its capabilities.http allows ${outboundHosts.join(', ')}`
        : writesForAll(sidecar)
          ? `what the sidecar ${sidecarLabel(sidecar)} writes by wasi:keyvalue cannot: it has the scope "${scope}", and its capabilities.keyvalue names ${keyvalue.map(([name]) => JSON.stringify(name)).join(', ')}`
          : undefined;
    if (lasting) throw new Problem('guarantee-irreversible', `cannot link "${manifest.name}": its executions can be undone, but ${lasting}`);
  }
};
