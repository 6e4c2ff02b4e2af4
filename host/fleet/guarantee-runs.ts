/** Executions under way, by key or not, and the room that each tenant has for them. */
import { Problem } from '../base/errors.ts';
import { Shares } from '../base/shares.ts';
import type { GuaranteeRun } from './guarantee-run.ts';

type Request = Pick<GuaranteeRun['request'], 'tenant' | 'body'>;

const runsMax = 4096;
/** Of the bodies of their requests that do not travel within them. */
const bodyBytesMax = 256 * 1024 * 1024;

export class GuaranteeRuns {
  readonly #runs = new Map<string, GuaranteeRun>();
  readonly #count = new Shares(runsMax);
  readonly #bytes = new Shares(bodyBytesMax);

  /** Room for one more, until `leave`. @throws Problem `capacity-exhausted` */
  enter({ tenant, body }: Request): void {
    const bytes = body?.length ?? 0;
    if (!this.#count.fits(tenant, 1) || (bytes > 0 && !this.#bytes.fits(tenant, bytes)))
      throw new Problem(
        'capacity-exhausted',
        `cannot take the request: the tenant has its share of the ${runsMax} that are under way at most, and of the ${bodyBytesMax} bytes of their bodies`,
      );
    this.take({ tenant, body });
  }

  /** As `enter`, whether there is room or not. */
  take({ tenant, body }: Request): void {
    this.#count.take(tenant, 1);
    this.takeBody({ tenant, body });
  }

  /** That of a request that was taken without it. */
  takeBody({ tenant, body }: Request): void {
    this.#bytes.take(tenant, body?.length ?? 0);
  }

  leave({ tenant, body }: Request): void {
    this.#count.giveBack(tenant, 1);
    this.#bytes.giveBack(tenant, body?.length ?? 0);
  }

  set(run: GuaranteeRun): void {
    this.#runs.set(run.request.id, run);
  }

  get(id: string): GuaranteeRun | undefined {
    return this.#runs.get(id);
  }

  /** It is told of by its record from now on. */
  delete(id: string): void {
    this.#runs.delete(id);
  }

  all(): Iterable<GuaranteeRun> {
    return this.#runs.values();
  }
}
