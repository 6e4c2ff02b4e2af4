import { Problem } from '../../base/errors.ts';
import type { OnWritten } from '../../capability/followed-bytes.ts';
import { bucketId, bucketOf, tenantOf } from '../../capability/keyvalue-keys.ts';
import type { ObjectManifest, ObjectRecord } from '../../capability/object-model.ts';
import type { Claim, HeldBlobs } from '../../store/held-blobs.ts';
import type { Table } from '../../store/table.ts';
import { computedPrefix } from '../object-draft.ts';
import type { Computer, ObjectStore, PutRequest, PutResult } from '../object-store.ts';
import type { Measured, Rates, Verdict } from './cost.ts';
import type { Generators } from './generator.ts';
import type { Knowledge, ObjectDecision } from './knowledge.ts';
import { Differs, type Made, type ObjectMaker } from './maker.ts';
import { type ComputedSpec, inputsOf, resolveSources } from './spec.ts';

type Computed = ObjectRecord & { manifest: ObjectManifest };

/** An output that is known, by what it is made from. `proven`: runtimes under which two runs gave it. */
type KnownOutput = { digest: string; bytes: number; contentType: string; proven: string[] };

export type Explanation = Verdict & {
  stored: boolean;
  bytes: number;
  storedBytes: number;
  rates: Rates;
  measured: Measured | null;
  manifest: ObjectManifest | null;
  decisions: ObjectDecision[];
};

export type ComputedOptions = {
  objects: ObjectStore;
  maker: ObjectMaker;
  knowledge: Knowledge;
  generators: Generators;
  held: Pick<HeldBlobs, 'cache' | 'claim'>;
  table: Table;
  rates: () => Rates;
  /** What runs components: an output is proven under it, or not. */
  runtime: string;
  /** A generator gave other bytes than before: somebody should look at it. */
  alarm: (id: string, key: string, manifest: ObjectManifest) => void;
  onError: (error: unknown) => void;
};

/** Whether somebody has been told of bytes, which then may turn out to be wrong. */
class Follower {
  isTold = false;
  readonly onWritten: OnWritten;

  constructor(onWritten: OnWritten) {
    this.onWritten = (written) => {
      this.isTold = true;
      onWritten(written);
    };
  }
}

const differs = (key: string, { function: name }: ObjectManifest): Problem =>
  new Problem('generator-differs', `cannot compute ${JSON.stringify(key)}: "${name}" gave other bytes than before`);

const attemptsMax = 3;
const pageKeys = 200;
const outputKey = (tenant: string, inputs: string): string => `${tenant}/generated/${inputs}`;

/** Objects that may be let go because they can be made again, and are when somebody asks. */
export class ComputedObjects implements Computer {
  readonly #options: ComputedOptions;
  #reviewing = false;
  /** Objects that are looked at now. */
  readonly #reviewed = new Set<string>();
  /** Objects that are made once more. */
  readonly #second = new Map<string, Promise<void>>();

  constructor(options: ComputedOptions) {
    this.#options = options;
  }

  /**
   * Puts an object that a function makes. A body that comes along is dropped only when two runs gave the same bytes; if they
   * do not, or the function fails, it is an ordinary object.
   * @throws Problem as `ObjectStore.put`; `generator-refused`, and without a body `generator-failed`
   */
  async put(id: string, key: string, spec: ComputedSpec, request: PutRequest, hasBody: boolean): Promise<PutResult> {
    const { objects, generators } = this.#options;
    const found = await generators.resolve(tenantOf(id), spec.function, spec.version);
    const body = hasBody ? await objects.receive(id, key, request) : undefined;
    try {
      for (let attempt = 1; ; attempt++) {
        const { sources, depth } = resolveSources(id, spec, (bucket, source) => objects.find(bucket, source));
        const manifest: ObjectManifest = { ...found, sources, params: spec.params, rule: spec.rule, depth, proven: [] };
        try {
          return await this.#put(id, key, manifest, request, body);
        } catch (error) {
          if (!(error instanceof Problem && error.code === 'conflict' && attempt < attemptsMax)) throw error;
        }
      }
    } finally {
      body?.release();
    }
  }

  async obtain(id: string, key: string, object: ObjectRecord, onWritten?: OnWritten): Promise<() => void> {
    if (!object.manifest) throw new Problem('internal', `cannot compute ${JSON.stringify(key)}: it has no manifest`);
    const computed = { ...object, manifest: object.manifest };
    const { maker, onError } = this.#options;
    // What has given other bytes before is not sent to anybody before it is right.
    const follower = onWritten && !computed.manifest.distrusted ? new Follower(onWritten) : undefined;
    try {
      const release = await maker.obtain(id, computed, follower?.onWritten);
      if (computed.manifest.distrusted) await this.#settle(id, key, computed, true, computed.manifest);
      else void this.#review(id, key).catch(onError);
      return release;
    } catch (error) {
      if (!(error instanceof Differs)) throw error;
      const again = this.#secondChance(id, key, computed);
      if (!follower?.isTold) return await again;
      again.then(
        (release) => release(),
        () => undefined,
      );
      throw differs(key, computed.manifest);
    }
  }

  async makeReal(id: string, key: string): Promise<void> {
    const object = this.#find(id, key);
    if (!object || object.stored) return;
    const release = await this.obtain(id, key, object);
    const manifest = { ...object.manifest, distrusted: 'its source was changed' };
    await this.#settle(id, key, object, true, manifest).finally(release);
  }

  requested(id: string, key: string): void {
    const object = this.#find(id, key);
    if (!object) return;
    this.#options.knowledge
      .request(id, key, object)
      .then(() => this.#review(id, key))
      .catch(this.#options.onError);
  }

  /** Goes through all computed objects, for what is overdue. */
  async reviewAll(): Promise<void> {
    if (this.#reviewing) return;
    this.#reviewing = true;
    try {
      let cursor: string | undefined;
      do {
        const page = await this.#options.table.scan({ prefix: computedPrefix, limit: pageKeys, ...(cursor !== undefined && { cursor }) });
        for (const entry of page.entries) {
          const [tenant = '', bucket = '', ...rest] = entry.key.slice(computedPrefix.length).split('/');
          await this.#review(bucketId(tenant, bucket), rest.join('/')).catch(this.#options.onError);
        }
        cursor = page.next;
        await new Promise((resolve) => setImmediate(resolve));
      } while (cursor !== undefined);
      await this.#options.knowledge.flush();
    } finally {
      this.#reviewing = false;
    }
  }

  /** @throws Problem `not-found` */
  async explain(id: string, key: string): Promise<Explanation> {
    const { objects, knowledge } = this.#options;
    const rates = this.#options.rates();
    const object = objects.find(id, key);
    if (!object) throw new Problem('not-found', `there is no object ${JSON.stringify(key.slice(0, 200))} in bucket "${bucketOf(id)}"`);
    const base = { stored: object.stored, bytes: object.bytes, storedBytes: object.stored ? object.bytes : 0, rates };
    const { manifest } = object;
    if (!manifest)
      return { ...base, choice: 'store', nextRequestMs: null, costStore: 0, costGenerate: null, basis: 'none', measured: null, manifest: null, decisions: [] };
    const computed = { ...object, manifest };
    const verdict = await knowledge.decide(id, key, computed, rates, false);
    const measured = (await knowledge.measured(id, computed)) ?? null;
    return { ...base, ...verdict, measured, manifest, decisions: await knowledge.decisions(id, key, object) };
  }

  async #put(id: string, key: string, manifest: ObjectManifest, request: PutRequest, body: Claim | undefined): Promise<PutResult> {
    const { table, maker, knowledge } = this.#options;
    const known = (await table.get<KnownOutput>(outputKey(tenantOf(id), inputsOf(manifest))))?.value;
    if (known?.proven.includes(this.#options.runtime) && (!body || body.digest === known.digest)) return this.#commit(id, key, manifest, known, request, body);
    let made: Made;
    try {
      made = await maker.make(id, manifest);
    } catch (error) {
      if (body && error instanceof Problem) return this.#ordinary(id, key, request, body);
      throw error;
    }
    try {
      if (body && body.digest !== made.digest) return await this.#ordinary(id, key, request, body);
      const output = { digest: made.digest, bytes: made.bytes, contentType: request.contentType ?? made.contentType ?? 'application/octet-stream', proven: [] };
      knowledge.put(id, key);
      return await this.#commit(id, key, manifest, output, request, made);
    } finally {
      made.release();
    }
  }

  #ordinary(id: string, key: string, request: PutRequest, body: Claim): Promise<PutResult> {
    return this.#options.objects.commitPut(id, key, body, request);
  }

  /** `claim`: the bytes are at hand; without it they are known, and not kept. */
  async #commit(id: string, key: string, manifest: ObjectManifest, output: KnownOutput, request: PutRequest, claim: Claim | undefined): Promise<PutResult> {
    const { objects, knowledge, rates } = this.#options;
    const { digest, bytes } = output;
    const contentType = request.contentType ?? output.contentType;
    const draft: Computed = {
      digest,
      bytes,
      contentType,
      headers: request.headers ?? {},
      createdAt: Date.now(),
      stored: false,
      manifest: { ...manifest, proven: output.proven },
    };
    knowledge.put(id, key);
    const { choice } = await knowledge.decide(id, key, draft, rates());
    const proof = choice === 'compute' ? await this.#prove(id, key, draft, 1) : draft.manifest;
    const stored = choice === 'store' || !proof.proven.includes(this.#options.runtime);
    const again = stored && !claim ? await this.#options.maker.obtain(id, draft) : undefined;
    try {
      const object = { digest, bytes, contentType, headers: draft.headers, stored, manifest: proof };
      const { before } = await objects.change(id, { kind: 'put', key, object, ...(request.conditions && { conditions: request.conditions }) });
      return { object: { ...object, createdAt: objects.find(id, key)?.createdAt ?? 0 }, created: before === undefined };
    } finally {
      again?.();
    }
  }

  /** The manifest, with the present runtime among those that gave the digest twice, or distrusted. @param runs that are still missing */
  async #prove(id: string, key: string, object: Computed, runs: number): Promise<ObjectManifest> {
    const { table, maker, runtime, alarm } = this.#options;
    const { manifest } = object;
    if (manifest.proven.includes(runtime) || manifest.distrusted) return manifest;
    try {
      for (let run = 0; run < runs; run++) (await maker.make(id, manifest, object)).release();
    } catch (error) {
      if (!(error instanceof Differs || error instanceof Problem)) throw error;
      if (error instanceof Differs) alarm(id, key, manifest);
      return { ...manifest, distrusted: error instanceof Differs ? 'its generator gave other bytes' : `its generator failed: ${error.message}`.slice(0, 300) };
    }
    const proven = [...manifest.proven, runtime];
    const known: KnownOutput = { digest: object.digest, bytes: object.bytes, contentType: object.contentType, proven };
    await table.commit([{ key: outputKey(tenantOf(id), inputsOf(manifest)), put: known }]);
    return { ...manifest, proven };
  }

  /** Whether to keep what is there, or to let it go. Once at a time for each object, since that may run its generator. */
  async #review(id: string, key: string): Promise<void> {
    const name = `${id}/${key}`;
    if (this.#reviewed.has(name)) return;
    this.#reviewed.add(name);
    await this.#settleOn(id, key).finally(() => this.#reviewed.delete(name));
  }

  async #settleOn(id: string, key: string): Promise<void> {
    const { knowledge, rates, maker, runtime, held } = this.#options;
    const object = this.#find(id, key);
    if (!object || object.manifest.distrusted) return;
    const { choice } = await knowledge.decide(id, key, object, rates());
    if (choice === 'compute' && object.stored) {
      const manifest = await this.#prove(id, key, object, 2);
      const proven = manifest.proven.includes(runtime) && !manifest.distrusted;
      if (!proven && !manifest.distrusted) return;
      const release = held.claim(object.digest);
      if (proven) held.cache(object.digest, object.bytes);
      await this.#settle(id, key, object, !proven, manifest).finally(release);
    } else if (choice === 'store' && !object.stored && (await this.#atHand(object))) {
      const release = await maker.obtain(id, object);
      await this.#settle(id, key, object, true, object.manifest).finally(release);
    }
  }

  async #atHand({ digest }: ObjectRecord): Promise<boolean> {
    return (await this.#options.objects.reader.blobs.size(digest)) !== undefined;
  }

  /** Its generator gave other bytes: once more, for all who asked, and if they are right they stay for good. Never are others served. */
  async #secondChance(id: string, key: string, object: Computed): Promise<() => void> {
    const name = `${id}/${key}`;
    const running = this.#second.get(name) ?? this.#again(id, key, object).finally(() => this.#second.delete(name));
    this.#second.set(name, running);
    await running;
    return this.#options.maker.obtain(id, { ...object, stored: true });
  }

  async #again(id: string, key: string, object: Computed): Promise<void> {
    const { alarm, maker } = this.#options;
    alarm(id, key, object.manifest);
    const manifest = { ...object.manifest, distrusted: 'its generator gave other bytes' };
    try {
      const release = await maker.obtain(id, object);
      await this.#settle(id, key, object, true, manifest).finally(release);
    } catch (error) {
      if (!(error instanceof Differs)) throw error;
      await this.#settle(id, key, object, false, manifest);
      throw differs(key, manifest);
    }
  }

  async #settle(id: string, key: string, { digest }: ObjectRecord, stored: boolean, manifest: ObjectManifest): Promise<void> {
    await this.#options.objects.change(id, { kind: 'settle', key, digest, stored, manifest });
  }

  #find(id: string, key: string): Computed | undefined {
    const object = this.#options.objects.find(id, key);
    return object?.manifest && { ...object, manifest: object.manifest };
  }
}
