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
  /** Those that somebody in this thread has. */
  readonly #held = new Map<string, { artifact: CompiledArtifact; holders: number }>();
  #requests = 0;

  constructor(post: (message: FromGateway) => void) {
    this.#post = post;
  }

  load(digest: string): Promise<LoadedModule> {
    const held = this.#held.get(digest);
    if (held) return Promise.resolve({ artifact: held.artifact, load: 'thread' });
    const known = this.#underWay.get(digest);
    if (known) return known;
    const request = ++this.#requests;
    const loaded = new Promise<LoadedModule>((resolve, reject) => this.#waiting.set(request, { resolve, reject }));
    const shared = loaded.finally(() => this.#underWay.delete(digest));
    this.#underWay.set(digest, shared);
    this.#post({ kind: 'artifact-wanted', request, digest });
    return shared;
  }

  /** Lets others have a module for as long as the caller has it; returns what ends that. */
  hold(digest: string, artifact: CompiledArtifact): () => void {
    const held = this.#held.get(digest) ?? { artifact, holders: 0 };
    this.#held.set(digest, held);
    held.holders++;
    let isOver = false;
    return () => {
      if (!isOver && --held.holders === 0) this.#held.delete(digest);
      isOver = true;
    };
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
