import { type ErrorCode, Problem } from '../base/errors.ts';
import type { StoredSource } from '../base/load-source.ts';
import type { CompiledArtifact } from '../instance/compiled.ts';
import type { FromGateway } from './protocol.ts';

export type LoadedModule = { artifact: CompiledArtifact; load: StoredSource };

type Waiting = { resolve: (loaded: LoadedModule) => void; reject: (problem: Problem) => void };

/** Asks the supervisor for modules; those who ask for one at the same time share the answer. */
export class ModuleLoader {
  readonly #post: (message: FromGateway) => void;
  readonly #underWay = new Map<string, Promise<LoadedModule>>();
  readonly #waiting = new Map<number, Waiting>();
  #requests = 0;

  constructor(post: (message: FromGateway) => void) {
    this.#post = post;
  }

  load(digest: string): Promise<LoadedModule> {
    const known = this.#underWay.get(digest);
    if (known) return known;
    const request = ++this.#requests;
    const loaded = new Promise<LoadedModule>((resolve, reject) => this.#waiting.set(request, { resolve, reject }));
    const shared = loaded.finally(() => this.#underWay.delete(digest));
    this.#underWay.set(digest, shared);
    this.#post({ kind: 'artifact-wanted', request, digest });
    return shared;
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
