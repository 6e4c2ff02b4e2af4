import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';

/** Signatures of an origin on what it tells its edges: Ed25519 (RFC 8032). Public keys are their 32 bytes in base64url. */

const context = 'nacelle feed 1\n';
const publicKeyBytes = 32;
/** What stands before the 32 bytes in the SubjectPublicKeyInfo of an Ed25519 key (RFC 8410). */
const spkiHead = Buffer.from('302a300506032b6570032100', 'hex');

export type Signer = { publicKey: string; sign(text: string): string };

/** A new private key, PKCS #8 in PEM. */
export const newSigningKey = (): Uint8Array => Buffer.from(generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }));

const rawPublicKey = (key: KeyObject): string => createPublicKey(key).export({ type: 'spki', format: 'der' }).subarray(spkiHead.length).toString('base64url');

/** @param key as `newSigningKey` makes it */
export function createSigner(key: Uint8Array): Signer {
  const privateKey = createPrivateKey(Buffer.from(key));
  return { publicKey: rawPublicKey(privateKey), sign: (text) => sign(null, Buffer.from(context + text), privateKey).toString('base64url') };
}

function publicKeyOf(text: string): KeyObject | undefined {
  const raw = Buffer.from(text, 'base64url');
  if (raw.length !== publicKeyBytes) return undefined;
  return createPublicKey({ key: Buffer.concat([spkiHead, raw]), format: 'der', type: 'spki' });
}

export function isSignedBy(publicKey: string, text: string, signature: string): boolean {
  const key = publicKeyOf(publicKey);
  return key !== undefined && verify(null, Buffer.from(context + text), key, Buffer.from(signature, 'base64url'));
}

/** Short enough to be compared by people: `sha256:` and 64 hexadecimal digits. */
export const fingerprintOf = (publicKey: string): string => `sha256:${createHash('sha256').update(Buffer.from(publicKey, 'base64url')).digest('hex')}`;

/** The text with its signature before it: `SIGNATURE.TEXT`. */
export const signed = (signer: Signer, text: string): string => `${signer.sign(text)}.${text}`;

/** The text of what `signed` made, or undefined if the key did not sign it. */
export function openSigned(publicKey: string, data: string): string | undefined {
  const dot = data.indexOf('.');
  const text = data.slice(dot + 1);
  return dot > 0 && isSignedBy(publicKey, text, data.slice(0, dot)) ? text : undefined;
}
