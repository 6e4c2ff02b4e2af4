/** What the linker and the reset must know about a rewritten core module. Indices are those of the module before it was rewritten. */
export type CoreReport = {
  /** Memories that the module defines. `export` names the memory, `pages` the mutable i32 global with its logical size in pages of 64 KiB. */
  memories: { index: number; export: string; pages: string; minPages: number; maxPages: number | null; shared: false }[];
  /** Names of the exported mutable globals (i32, i64, f32, f64) to restore. */
  globals: string[];
  /** Tables that the module defines, with the bounds that it has now. */
  tables: { index: number; minEntries: number; maxEntries: number }[];
  /** Why the module cannot be reset and must be instantiated each time; empty if it can. */
  unrestorable: string[];
  /** Whether `__nacelle_start` must be called after instantiation. */
  start: boolean;
  /** Fields that it imports from module `nacelle`: `tick`, `yield`, `grow`, `pages:<i>`, `dirty:<i>`. */
  imports: string[];
  /** Indices of the imported memories whose logical size it imports as `pages:<i>`. */
  growsImported: number[];
  /** It has instructions of relaxed SIMD, whose results may differ from one machine to another. */
  relaxedSimd: boolean;
};

/** Names under which rewritten modules meet the linker. */
export const names = {
  importModule: 'nacelle',
  exportPrefix: '__nacelle_',
  memory: (index: number): string => `__nacelle_memory_${index}`,
  pages: (index: number): string => `__nacelle_pages_${index}`,
  global: (index: number): string => `__nacelle_global_${index}`,
  importedPages: (index: number): string => `pages:${index}`,
  /** The memory with a byte for each block of 4 KiB of memory `index` that was written to. */
  dirty: (index: number): string => `__nacelle_dirty_${index}`,
  importedDirty: (index: number): string => `dirty:${index}`,
  start: '__nacelle_start',
} as const;
