/** What the package offers to programs: a node in a process of theirs. */
export { Problem } from './base/errors.ts';
export { type ConfigSources, loadConfig } from './config/load.ts';
export type { ConfigFile, NodeConfig } from './config/schema.ts';
export { type NodeOptions, type RunningNode, startNode } from './node.ts';
