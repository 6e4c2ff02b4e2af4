import type { Grant } from '../wasi/context.ts';
import type { DeployedVersion } from './route-table.ts';

/** Largest scratch directory of an execution, all its files together. */
const scratchBytesMax = 64 * 1024 * 1024;

/** What the guests of a version may reach. */
export const grantOf = ({ env, config, outboundHosts, scratch, keyvalue }: DeployedVersion): Grant => ({
  env,
  config: new Map(config),
  outboundHosts,
  scratch,
  scratchBytesMax,
  keyvalue: new Map(keyvalue),
});
