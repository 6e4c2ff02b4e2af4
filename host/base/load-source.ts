/** Where a module came from: the artifact cache, its bytes on this node, or its bytes at the origin. */
export type StoredSource = 'cache' | 'prepared' | 'pulled';
/** `thread`: it was there already. */
export type LoadSource = 'thread' | StoredSource;
