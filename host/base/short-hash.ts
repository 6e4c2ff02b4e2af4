import { createHash } from 'node:crypto';

/** Characters that stand for 132 bits of a digest. */
export const shortHashLength = 22;

/** The beginning of a SHA-256 digest in base64url. */
export const shortHash = (text: string, length = shortHashLength): string => createHash('sha256').update(text).digest('base64url').slice(0, length);
