import { Problem } from '../../base/errors.ts';
import { bucketId, tenantOf } from '../../capability/keyvalue-keys.ts';
import type { ObjectManifest, ObjectRecord, SourceRef } from '../../capability/object-model.ts';
import type { Digest } from '../../store/blobs.ts';
import type { Claim, HeldBlobs } from '../../store/held-blobs.ts';
import type { Generators } from './generator.ts';
import type { Knowledge } from './knowledge.ts';
import { inputsOf, nameOf } from './spec.ts';

export type MakerOptions = {
  held: HeldBlobs;
  generators: Generators;
  knowledge: Knowledge;
  exists: (digest: Digest) => boolean | Promise<boolean>;
  find: (id: string, key: string) => ObjectRecord | undefined;
  objectBytesMax: number;
};

export type Made = Claim & { contentType: string | undefined };

/** Other bytes than expected: what is told apart from a digest that a client got wrong. */
export class Differs extends Error {}

/**
 * Makes the bytes of computed objects, each once at a time however many ask. What was made lies in Blobs without a holder:
 * it is there for the next request, and goes with the garbage.
 */
export class ObjectMaker {
  readonly #options: MakerOptions;
  readonly #running = new Map<string, Promise<void>>();

  constructor(options: MakerOptions) {
    this.#options = options;
  }

  /** The bytes with this digest, claimed. @throws Problem `generator-failed`, `Differs` */
  async obtain(id: string, object: ObjectRecord & { manifest: ObjectManifest }): Promise<() => void> {
    const { held, exists } = this.#options;
    const release = held.claim(object.digest);
    try {
      while (!(await exists(object.digest))) {
        const running = this.#running.get(object.digest);
        if (running) await running;
        else await this.#once(object.digest, () => this.#again(id, object));
      }
      return release;
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Runs the generator, whatever is known of its output. @throws Problem `generator-failed`, `generator-refused` */
  async make(id: string, manifest: ObjectManifest, digest?: Digest): Promise<Made> {
    const { generators, knowledge, held, objectBytesMax } = this.#options;
    const releases: (() => void)[] = [];
    try {
      const sources = [];
      for (const source of manifest.sources) {
        releases.push(await this.#source(id, source));
        sources.push({ name: nameOf(source), digest: source.digest, bytes: source.bytes });
      }
      const output = await generators.run({ tenant: tenantOf(id), manifest, seed: inputsOf(manifest), sources });
      let wrong = false;
      const claim = await held.put(output.body, { bytesMax: objectBytesMax, ...(digest !== undefined && { digest }) }).catch((error: unknown) => {
        wrong = digest !== undefined && error instanceof Problem && (error.code === 'request-invalid' || error.code === 'body-too-large');
        if (wrong) throw new Differs('the generator gave other bytes');
        throw error;
      });
      await knowledge.measure(id, manifest, claim.bytes, await output.measured());
      return { ...claim, contentType: output.contentType };
    } finally {
      for (const release of releases) release();
    }
  }

  async #again(id: string, object: ObjectRecord & { manifest: ObjectManifest }): Promise<void> {
    const { release } = await this.make(id, object.manifest, object.digest);
    release();
  }

  async #once(digest: Digest, make: () => Promise<void>): Promise<void> {
    const run = make().finally(() => this.#running.delete(digest));
    this.#running.set(digest, run);
    await run;
  }

  /** The bytes of a source, which may be computed itself. */
  async #source(id: string, { bucket, key, digest }: SourceRef): Promise<() => void> {
    const { held, exists, find } = this.#options;
    const object = find(bucketId(tenantOf(id), bucket), key);
    if (object?.digest === digest && !object.stored && object.manifest)
      return this.obtain(bucketId(tenantOf(id), bucket), { ...object, manifest: object.manifest });
    const release = held.claim(digest);
    if (await exists(digest)) return release;
    release();
    throw new Problem('generator-failed', `cannot compute the object: its source ${bucket}/${key} is not there any more`);
  }
}
