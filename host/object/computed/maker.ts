import { Problem } from '../../base/errors.ts';
import type { OnWritten } from '../../capability/followed-bytes.ts';
import { bucketId, tenantOf } from '../../capability/keyvalue-keys.ts';
import type { ObjectManifest, ObjectRecord, SourceRef } from '../../capability/object-model.ts';
import type { Digest, Written } from '../../store/blobs.ts';
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
  onError: (error: unknown) => void;
};

export type Made = Claim & { contentType: string | undefined };

/** What is expected of a run, and who is told what can be read of its output before it has been found right. */
type Expected = { digest: Digest; bytes: number; onWritten?: OnWritten };

/** A run that several wait for. `written`: how far it has got. */
type Run = { done: Promise<void>; written: Written | undefined; followers: Set<OnWritten> };

/** Other bytes than expected: what is told apart from a digest that a client got wrong. */
export class Differs extends Error {}

/**
 * Makes the bytes of computed objects, each once at a time however many ask. What was made lies in Blobs without a holder:
 * it is there for the next request, and goes with the garbage.
 */
export class ObjectMaker {
  readonly #options: MakerOptions;
  readonly #running = new Map<Digest, Run>();

  constructor(options: MakerOptions) {
    this.#options = options;
  }

  /**
   * The bytes with this digest, claimed. `onWritten` is told what can be read of them while they are made, also by a run that
   * somebody else waits for already. @throws Problem `generator-failed`, `Differs`
   */
  async obtain(id: string, object: ObjectRecord & { manifest: ObjectManifest }, onWritten?: OnWritten): Promise<() => void> {
    const { held, exists } = this.#options;
    const release = held.claim(object.digest);
    try {
      while (!(await exists(object.digest))) await this.#follow(this.#running.get(object.digest) ?? this.#start(id, object), onWritten);
      if (!object.stored) held.cache(object.digest, object.bytes);
      return release;
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Runs the generator, whatever is known of its output, and measures it. @throws Problem `generator-failed`, `generator-refused`; `Differs` */
  async make(id: string, manifest: ObjectManifest, expected?: Expected): Promise<Made> {
    const { made, measured } = await this.#run(id, manifest, expected);
    await measured;
    return made;
  }

  /** `measured` resolves when what the run took has been noted: some time after its bytes are there. */
  async #run(id: string, manifest: ObjectManifest, expected: Expected | undefined): Promise<{ made: Made; measured: Promise<void> }> {
    const { generators, knowledge, held, objectBytesMax, onError } = this.#options;
    const releases: (() => void)[] = [];
    try {
      const sources = [];
      for (const source of manifest.sources) {
        releases.push(await this.#source(id, source));
        sources.push({ name: nameOf(source), digest: source.digest, bytes: source.bytes });
      }
      const output = await generators.run({ tenant: tenantOf(id), manifest, seed: inputsOf(manifest), sources });
      const claim = await held.put(output.body, { bytesMax: expected?.bytes ?? objectBytesMax, ...expected }).catch((error: unknown) => {
        const wrong = expected && error instanceof Problem && (error.code === 'request-invalid' || error.code === 'body-too-large');
        throw wrong ? new Differs('the generator gave other bytes') : error;
      });
      held.cache(claim.digest, claim.bytes);
      const measuring = output.measured().then((run) => knowledge.measure(id, manifest, claim.bytes, run));
      const measured = measuring.catch(onError);
      return { made: { ...claim, contentType: output.contentType }, measured };
    } finally {
      for (const release of releases) release();
    }
  }

  #start(id: string, object: ObjectRecord & { manifest: ObjectManifest }): Run {
    const { digest, bytes, manifest } = object;
    const followers = new Set<OnWritten>();
    const onWritten = (written: Written): void => {
      run.written = written;
      for (const told of followers) told(written);
    };
    const done = this.#run(id, manifest, { digest, bytes, onWritten }).then(({ made }) => made.release());
    const run: Run = { done: done.finally(() => this.#running.delete(digest)), written: undefined, followers };
    this.#running.set(digest, run);
    return run;
  }

  async #follow({ done, written, followers }: Run, onWritten: OnWritten | undefined): Promise<void> {
    if (onWritten && written) onWritten(written);
    if (onWritten) followers.add(onWritten);
    await done;
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
