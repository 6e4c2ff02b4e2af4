import { randomBytes } from 'node:crypto';
import { Problem } from '../base/errors.ts';
import type { Write } from '../store/table.ts';
import type { FunctionReader } from './function-reader.ts';
import type { Ground } from './ground.ts';
import { secretKey } from './keys.ts';
import type { SecretRecord } from './model.ts';

const secretsMax = 64;

/** A part of a version's key that was never used before. */
export const newRevision = (): string => randomBytes(4).toString('hex');

/** Changes the secrets of functions. */
export class FunctionSecrets {
  private readonly ground: Ground;
  private readonly reader: FunctionReader;

  constructor(ground: Ground, reader: FunctionReader) {
    this.ground = ground;
    this.reader = reader;
  }

  /** @throws Problem `not-found`, `request-invalid` if there would be too many */
  put(tenant: string, name: string, secret: string, value: string): Promise<void> {
    const key = secretKey(tenant, name, secret);
    return this.change(tenant, name, async () => {
      const known = await this.reader.secrets(tenant, name);
      if (known.length >= secretsMax && !known.some((item) => item.name === secret)) {
        throw new Problem('request-invalid', `cannot put secret "${secret}" of "${name}": at most ${secretsMax} secrets`);
      }
      return { key, put: { name: secret, updatedAt: this.ground.now(), sealed: this.ground.sealer.seal(key, value) } satisfies SecretRecord };
    });
  }

  /** @throws Problem `not-found` */
  remove(tenant: string, name: string, secret: string): Promise<void> {
    const key = secretKey(tenant, name, secret);
    return this.change(tenant, name, async () => {
      const entry = await this.ground.table.get<SecretRecord>(key);
      if (!entry) throw new Problem('not-found', `there is no secret "${secret}" of "${name}"`);
      return { key, delete: true, expectRevision: entry.revision };
    });
  }

  /** With a new revision of the function, threads take it for another and give it fresh instances. */
  private async change(tenant: string, name: string, write: () => Promise<Write>): Promise<void> {
    await this.ground.serial(async () => {
      const { key, value, revision } = await this.reader.require(tenant, name);
      await this.ground.table.commit([{ key, put: { ...value, revision: newRevision() }, expectRevision: revision }, await write()]);
    });
    await this.ground.publish();
  }
}
