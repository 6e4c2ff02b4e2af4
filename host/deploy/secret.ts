import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { Problem } from '../base/errors.ts';

const cipher = 'aes-256-gcm';
const nonceBytes = 12;
const tagBytes = 16;

/** Encrypts and decrypts secrets at rest. A sealed value opens only under the store key that it was sealed for. */
export type Sealer = { seal(key: string, value: string): string; open(key: string, sealed: string): string };

/** @param secretKey 32 bytes that stay on the node, outside the store (AES-256-GCM, NIST SP 800-38D) */
export const createSealer = (secretKey: Uint8Array): Sealer => ({
  seal: (key, value) => {
    const nonce = randomBytes(nonceBytes);
    const sealing = createCipheriv(cipher, secretKey, nonce).setAAD(Buffer.from(key));
    const bytes = Buffer.concat([sealing.update(value, 'utf8'), sealing.final()]);
    return Buffer.concat([nonce, sealing.getAuthTag(), bytes]).toString('base64');
  },
  open: (key, sealed) => {
    const bytes = Buffer.from(sealed, 'base64');
    const opening = createDecipheriv(cipher, secretKey, bytes.subarray(0, nonceBytes))
      .setAAD(Buffer.from(key))
      .setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes));
    try {
      return Buffer.concat([opening.update(bytes.subarray(nonceBytes + tagBytes)), opening.final()]).toString('utf8');
    } catch {
      throw new Problem('internal', `cannot open the secret at "${key}": it was sealed with another key or has been changed`);
    }
  },
});
