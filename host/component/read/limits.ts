/**
 * Limits of what a component may hold, so that a hostile one can exhaust neither time nor memory. They are those of
 * wasmparser (crates/wasmparser/src/limits.rs) or lower where each item costs this node more.
 */
export const limits = {
  /** Definitions, declarations, fields and the like of one file, all together. */
  items: 1_000_000,
  /** Components within components, or types within types. */
  nesting: 32,
  coreModules: 200,
  fields: 10_000,
  params: 1_000,
  instanceItems: 100_000,
  canonOptions: 10,
  /** Bytes of a label or of the name of an import or export, which are shorter than 100 in practice. */
  nameBytes: 1_000,
} as const;
