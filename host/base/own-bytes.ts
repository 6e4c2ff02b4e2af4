/**
 * Bytes that have an ArrayBuffer for themselves, for a message to another thread: with a view the whole buffer behind it is
 * copied there, and small buffers share one of 64 KiB.
 */
export const ownBytes = (bytes: Uint8Array): Uint8Array => (bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes));
