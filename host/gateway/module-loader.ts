import { type ErrorCode, Problem } from '../base/errors.ts';
import type { LoadSource, StoredSource } from '../base/load-source.ts';
import type { CompiledArtifact } from '../instance/compiled.ts';
import type { FromGateway } from './protocol.ts';

export type LoadedModule = { artifact: CompiledArtifact; load: LoadSource };

type Waiting = { resolve: (loaded: LoadedModule) => void; reject: (problem: Problem) => void };

/** Asks the supervisor for modules; those who ask for one at the same time share the answer, and who asks later the module that another one still has. */
export class ModuleLoader {
  readonly #post: (message: FromGateway) => void;
  readonly #underWay = new Map<string, Promise<LoadedModule>>();
  readonly #waiting = new Map<number, Waiting>();
  readonly #known = new Map<string, WeakRef<CompiledArtifact>>();
  #requests = 0;

  constructor(post: (message: FromGateway) => void) {
    this.#post = post;
  }

  load(digest: string): Promise<LoadedModule> {
    const artifact = this.#known.get(digest)?.deref();
    if (artifact) return Promise.resolve({ artifact, load: 'thread' });
    const known = this.#underWay.get(digest);
    if (known) return known;
    const request = ++this.#requests;
    const loaded = new Promise<LoadedModule>((resolve, reject) => this.#waiting.set(request, { resolve, reject }));
    const shared = loaded.finally(() => this.#underWay.delete(digest));
    shared.then(
      (module) => this.#remember(digest, module.artifact),
      () => undefined,
    );
    this.#underWay.set(digest, shared);
    this.#post({ kind: 'artifact-wanted', request, digest });
    return shared;
  }

  #remember(digest: string, artifact: CompiledArtifact): void {
    for (const [other, reference] of this.#known) if (!reference.deref()) this.#known.delete(other);
    this.#known.set(digest, new WeakRef(artifact));
  }

  take(request: number, artifact: CompiledArtifact, load: StoredSource): void {
    this.#waiting.get(request)?.resolve({ artifact, load });
    this.#waiting.delete(request);
  }

  refuse(request: number, code: ErrorCode, message: string): void {
    this.#waiting.get(request)?.reject(new Problem(code, message));
    this.#waiting.delete(request);
  }
}
