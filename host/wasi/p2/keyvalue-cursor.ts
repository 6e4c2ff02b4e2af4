import { Problem } from '../../base/errors.ts';
import type { WasiContext } from '../context.ts';

const key = 'nacelle:keyvalue-cursors';
/** Pages whose ends are remembered; the oldest are forgotten. */
const pagesMax = 64;

/** Numbers for the ends of pages, where a guest cannot be handed the key itself. They hold for one execution. */
class PageCursors {
  private readonly keys = new Map<bigint, string>();
  private last = 0n;

  numberOf(after: string): bigint {
    this.last++;
    this.keys.set(this.last, after);
    if (this.keys.size > pagesMax) this.keys.delete(this.last - BigInt(pagesMax));
    return this.last;
  }

  /** @throws Problem `request-invalid` */
  keyOf(number: bigint): string {
    const after = this.keys.get(number);
    if (after === undefined) throw new Problem('request-invalid', `cannot list keys: ${number} is no cursor of the last ${pagesMax} pages of this execution`);
    return after;
  }
}

export function pageCursors(context: WasiContext): PageCursors {
  let cursors = context.local.get(key) as PageCursors | undefined;
  if (cursors === undefined) {
    cursors = new PageCursors();
    context.local.set(key, cursors);
  }
  return cursors;
}
