import { createSealer } from '../deploy/secret.ts';
import type { Blobs } from '../store/blobs.ts';
import type { Table } from '../store/table.ts';
import { Feed } from './feed.ts';
import { Roster, type RosterLimits } from './roster.ts';
import { sealSecrets } from './secret-values.ts';
import { createSigner } from './signing.ts';

export type OriginOptions = {
  table: Table;
  blobs: Blobs;
  /** 32 bytes: secrets are encrypted with them at rest. */
  secretKey: Uint8Array;
  /** As `newSigningKey` makes it. */
  signingKey: Uint8Array;
  domain: string;
  product: string;
  edges: RosterLimits;
};

/** What a node has for its edges. It costs nothing before the first one asks. */
export type Origin = {
  feed: Feed;
  roster: Roster;
  blobs: Pick<Blobs, 'size' | 'stream'>;
  /** Values of secrets for the edge with this key. @throws Problem `request-invalid` */
  sealSecrets: (publicKey: string, keys: readonly string[]) => Promise<string>;
};

export function createOrigin({ table, blobs, secretKey, signingKey, domain, product, edges }: OriginOptions): Origin {
  const signer = createSigner(signingKey);
  const sealer = createSealer(secretKey);
  return {
    feed: new Feed({ table, signer, domain, product }),
    roster: new Roster(table, edges),
    blobs,
    sealSecrets: (publicKey, keys) => sealSecrets({ table, sealer, signer }, publicKey, keys),
  };
}
