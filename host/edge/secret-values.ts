import { z } from 'zod';
import { Problem } from '../base/errors.ts';
import { secretKey } from '../deploy/keys.ts';
import type { Sealer } from '../deploy/secret.ts';
import type { Table } from '../store/table.ts';
import type { OriginClient } from './origin-client.ts';
import { type KeptSecret, noteOf } from './records.ts';
import { type SecretValues, secretOfKey } from './replica.ts';
import { boxPublicKey, openSealed, sealFor } from './sealing.ts';
import { openSigned, type Signer, signed } from './signing.ts';

/** Values of secrets on their way to one edge: sealed for its key, and signed by the origin. */

const keysAtOnce = 256;
/** What the seal is bound to: a value cannot be passed off as another one, or as an older one of the same. */
const nameOf = (key: string, stamp: string): string => `${key}\n${stamp}`;

const boxes = z.object({ boxes: z.array(z.tuple([z.string(), z.string(), z.string()])) });

export type SecretSource = { table: Table; sealer: Sealer; signer: Signer };

/** At the origin. Keys that are no secret's are left out. @throws Problem `request-invalid` if `publicKey` is none */
export async function sealSecrets({ table, sealer, signer }: SecretSource, publicKey: string, keys: readonly string[]): Promise<string> {
  const sealed: [key: string, stamp: string, box: string][] = [];
  for (const key of keys) {
    const parts = secretOfKey(key);
    const entry = parts && (await table.get<KeptSecret>(secretKey(parts.tenant, parts.function, parts.name)));
    if (!entry) continue;
    const { stamp } = noteOf(entry.value);
    try {
      sealed.push([key, stamp, sealFor(publicKey, nameOf(key, stamp), sealer.open(key, entry.value.sealed))]);
    } catch (error) {
      if (error instanceof Problem) throw error;
      throw new Problem('request-invalid', 'cannot seal secrets: "key" must be an X25519 public key in base64url');
    }
  }
  return signed(signer, JSON.stringify({ boxes: sealed }));
}

type Wanted = { client: OriginClient; boxKey: Uint8Array; originKey: string; keys: readonly string[]; signal: AbortSignal };

/** At the edge. @throws Problem `forbidden` if its token may not have them; `unavailable` if what came cannot be believed */
export async function fetchSecrets({ client, boxKey, originKey, keys, signal }: Wanted): Promise<SecretValues> {
  const values = new Map<string, { value: string; stamp: string }>();
  for (let i = 0; i < keys.length; i += keysAtOnce) {
    const body = JSON.stringify({ key: boxPublicKey(boxKey), secrets: keys.slice(i, i + keysAtOnce) });
    const response = await client.request('/v1/feed/secrets', { method: 'POST', body, headers: { 'content-type': 'application/json' }, signal });
    const { data } = (await response.json()) as { data?: unknown };
    const text = typeof data === 'string' ? openSigned(originKey, data) : undefined;
    const parsed = text === undefined ? undefined : boxes.safeParse(JSON.parse(text)).data;
    if (!parsed) throw new Problem('unavailable', 'cannot take secrets: the answer is not signed by the origin');
    for (const [key, stamp, box] of parsed.boxes) values.set(key, { value: openSealed(boxKey, nameOf(key, stamp), box), stamp });
  }
  return values;
}
