import { crc32 } from 'node:zlib';
import type { Plan } from '../component/plan.ts';
import type { CoreReport } from './core/report.ts';

/**
 * A module made ready to run. Serves any node of the same `profile`; another memory limit needs no other artifact.
 */
export type Artifact = {
  /** Of the component's bytes, `sha256:<hex>`. */
  digest: string;
  profile: string;
  plan: Plan;
  /** Rewritten core modules, in the order of `plan.modules`: those that the plan instantiates, each once. */
  modules: Uint8Array[];
  reports: CoreReport[];
  /** Interfaces with versions. */
  imports: string[];
  /** Those imports that only sidecars can provide. */
  open: string[];
  exports: string[];
  /** Size of the component. */
  bytes: number;
  /** Whether an instance can be reset; if not, `reasons` say why and it is instantiated each time. */
  restorable: boolean;
  reasons: string[];
};

/** Changes whenever an artifact of before could not be run by this code: the plan's form, then the rewriter's output. */
export const PROFILE = 'plan-2/core-4';

/** magic, CRC-32 of all that follows, length of the header. */
const MAGIC = Buffer.from('nacelle\0', 'latin1');
const HEAD_BYTES = MAGIC.length + 8;

type Header = Omit<Artifact, 'modules'> & { lengths: number[] };

export function encodeArtifact({ modules, ...rest }: Artifact): Uint8Array<ArrayBuffer> {
  const header: Header = { ...rest, lengths: modules.map((module) => module.length) };
  const json = Buffer.from(JSON.stringify(header));
  const encoded = new Uint8Array(HEAD_BYTES + json.length + header.lengths.reduce((sum, length) => sum + length, 0));
  encoded.set(MAGIC);
  encoded.set(json, HEAD_BYTES);
  let at = HEAD_BYTES + json.length;
  for (const module of modules) {
    encoded.set(module, at);
    at += module.length;
  }
  const view = new DataView(encoded.buffer);
  view.setUint32(MAGIC.length + 4, json.length, true);
  view.setUint32(MAGIC.length, crc32(encoded.subarray(MAGIC.length + 4)), true);
  return encoded;
}

/**
 * The artifact whose encoding `bytes` are; its modules are views of them. Undefined if the bytes are damaged or were
 * encoded under another profile: then it is to be prepared again.
 */
export function decodeArtifact(bytes: Uint8Array): Artifact | undefined {
  if (bytes.length < HEAD_BYTES || MAGIC.compare(bytes, 0, MAGIC.length) !== 0) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(MAGIC.length, true) !== crc32(bytes.subarray(MAGIC.length + 4))) return undefined;
  let at = HEAD_BYTES + view.getUint32(MAGIC.length + 4, true);
  const { lengths, ...rest } = JSON.parse(Buffer.from(bytes.subarray(HEAD_BYTES, at)).toString()) as Header;
  if (rest.profile !== PROFILE) return undefined;
  const modules = lengths.map((length) => {
    at += length;
    return bytes.subarray(at - length, at);
  });
  return { ...rest, modules };
}
