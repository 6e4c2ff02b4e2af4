/**
 * What a core module may hold. Most are the limits of wasm-tools and V8
 * (https://webassembly.github.io/spec/js-api/#limits); the number of memories and tables is ours, since each memory
 * reserves 10 GiB of address space in V8, and each table entry memory outside of the guest's limit. Where the rewriter adds
 * items, the limit leaves room for them below V8's.
 */
export const limits = {
  /** Of a module as it comes, and of its code when it is metered. */
  moduleBytes: 1 << 28,
  types: 900_000,
  functions: 900_000,
  imports: 100_000,
  exports: 900_000,
  globals: 900_000,
  tables: 100,
  memories: 16,
  memoryPages: 65_536,
  /** Smaller memories are reset in full. Even three pages are restored in half the time by the blocks that were written. */
  markedPagesMin: 1,
  elementSegments: 100_000,
  dataSegments: 100_000,
  /** Entries of all tables of a module when it is instantiated. */
  tableEntries: 1_000_000,
  /** What a table may grow to, unless it begins larger. */
  tableEntriesGrown: 100_000,
  parameters: 1_000,
  results: 1_000,
  locals: 50_000,
  functionBytes: 7_654_321,
  branchTargets: 65_520,
  /** Control frames within each other. */
  nesting: 200_000,
  /** Above this a module is instantiated each time instead of reset. */
  mutableGlobals: 10_000,
} as const;
