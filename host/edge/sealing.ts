import { createCipheriv, createDecipheriv, createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync, hkdfSync, type KeyObject } from 'node:crypto';

/**
 * Values that only one edge can read: X25519 with a key of one use, HKDF-SHA-256, AES-256-GCM. The name of the value goes
 * into the tag, so that boxes cannot be swapped. Who sealed it is not proved here: the origin signs what it sends.
 */

const info = 'nacelle edge secret 1';
const nonce = Buffer.alloc(12);
const tagBytes = 16;
const publicBytes = 32;
const spkiHead = Buffer.from('302a300506032b656e032100', 'hex');

/** A new private key, PKCS #8 in PEM. */
export const newBoxKey = (): Uint8Array => Buffer.from(generateKeyPairSync('x25519').privateKey.export({ type: 'pkcs8', format: 'pem' }));

const rawOf = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' }).subarray(spkiHead.length);

const publicKeyOf = (raw: Buffer): KeyObject => createPublicKey({ key: Buffer.concat([spkiHead, raw]), format: 'der', type: 'spki' });

/** The 32 bytes of the public key in base64url. */
export const boxPublicKey = (key: Uint8Array): string => rawOf(createPublicKey(createPrivateKey(Buffer.from(key)))).toString('base64url');

const keyFor = (shared: Buffer, ephemeral: Buffer, receiver: Buffer): Buffer =>
  Buffer.from(hkdfSync('sha256', shared, Buffer.concat([ephemeral, receiver]), info, 32));

/** Throws if `publicKey` is none. The key of the cipher is used once, so the nonce may be constant. */
export function sealFor(publicKey: string, name: string, value: string): string {
  const receiver = Buffer.from(publicKey, 'base64url');
  if (receiver.length !== publicBytes) throw new Error('not a public key');
  const pair = generateKeyPairSync('x25519');
  const ephemeral = rawOf(pair.publicKey);
  const shared = diffieHellman({ privateKey: pair.privateKey, publicKey: publicKeyOf(receiver) });
  const cipher = createCipheriv('aes-256-gcm', keyFor(shared, ephemeral, receiver), nonce).setAAD(Buffer.from(name));
  const bytes = Buffer.concat([cipher.update(value, 'utf8'), cipher.final()]);
  return Buffer.concat([ephemeral, cipher.getAuthTag(), bytes]).toString('base64url');
}

/** Throws if it was sealed for another key or name, or was changed. */
export function openSealed(key: Uint8Array, name: string, box: string): string {
  const bytes = Buffer.from(box, 'base64url');
  const privateKey = createPrivateKey(Buffer.from(key));
  const ephemeral = bytes.subarray(0, publicBytes);
  const shared = diffieHellman({ privateKey, publicKey: publicKeyOf(ephemeral) });
  const decipher = createDecipheriv('aes-256-gcm', keyFor(shared, ephemeral, rawOf(createPublicKey(privateKey))), nonce)
    .setAAD(Buffer.from(name))
    .setAuthTag(bytes.subarray(publicBytes, publicBytes + tagBytes));
  return Buffer.concat([decipher.update(bytes.subarray(publicBytes + tagBytes)), decipher.final()]).toString('utf8');
}
