import type { Sharing } from '../capability/admission.ts';
import { outboxId } from '../capability/keyvalue-keys.ts';
import type { CompiledArtifact } from '../instance/compiled.ts';
import type { CompiledComposition, CompiledSidecar } from '../instance/parts.ts';
import type { ComposedSidecar } from '../sidecar/composition.ts';
import type { Grant } from '../wasi/context.ts';
import type { DeployedVersion } from './route-table.ts';

/** Largest scratch directory of an execution, all its files together. */
const scratchBytesMax = 64 * 1024 * 1024;

/** What the guests of a version may reach. */
export const grantOf = ({ tenant, messaging, env, config, outboundHosts, scratch, keyvalue, objects, deterministic }: DeployedVersion): Grant => ({
  env,
  config: new Map(config),
  outboundHosts,
  scratch,
  scratchBytesMax,
  keyvalue: new Map(keyvalue),
  objects: new Map(objects),
  ...(deterministic && { deterministic }),
  ...(messaging && messaging.length > 0 ? { messaging: { topics: messaging, outbox: outboxId(tenant) } } : {}),
});

/** What a sidecar may reach: nothing of the function's. */
const sidecarGrant = ({ settings, files, outboundHosts, keyvalue }: ComposedSidecar): Grant => ({
  env: [],
  config: new Map(settings),
  outboundHosts,
  scratch: files !== undefined,
  scratchBytesMax,
  ...(files ? { files: new Map(files.map(([name, content]) => [name, new Uint8Array(Buffer.from(content, 'base64'))])) } : {}),
  keyvalue: new Map(keyvalue),
});

type LoadModule = (digest: string) => Promise<{ artifact: CompiledArtifact }>;

/** Rejects with what `load` rejects with. */
export const loadSidecar = async (sidecar: ComposedSidecar, load: LoadModule): Promise<CompiledSidecar> => ({
  ...sidecar,
  artifact: (await load(sidecar.digest)).artifact,
  grant: sidecarGrant(sidecar),
});

/** The sidecars of a version, loaded. `load` gives the modules, and rejects with a `Problem`. */
export const loadComposition = async ({ composition }: Pick<DeployedVersion, 'composition'>, load: LoadModule): Promise<CompiledComposition | undefined> => {
  if (!composition) return undefined;
  return { ...composition, sidecars: await Promise.all(composition.sidecars.map((sidecar) => loadSidecar(sidecar, load))) };
};

/** What executions of a version share, if anything. */
export const sharingOf = ({ tenant, function: name, shared = [], session, incarnation }: DeployedVersion): Sharing | undefined =>
  shared.length > 0 || session ? { owner: { tenant, function: name }, resources: shared, session, incarnation } : undefined;
