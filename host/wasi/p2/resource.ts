import type { WasiContext } from '../context.ts';

/**
 * Rules that all host resources share: a parent may not go before its children, and what the host keeps for a guest
 * is bounded.
 */

/** A resource that others are made from. Every child counts until it is dropped or consumed. */
export type Parent = { children: number };

const endingKey = 'nacelle:ending';

/** From now until `context.local` is emptied, handles may be dropped in any order. */
export function allowAnyOrder(context: WasiContext): void {
  context.local.set(endingKey, true);
}

/** Throws (which ends the guest) if `parent` still has children. `action` says what was tried: `drop input-stream`. */
export function assertChildless(context: WasiContext, parent: Parent, action: string): void {
  if (parent.children > 0 && !context.local.has(endingKey)) throw new Error(`cannot ${action}: ${parent.children} of its children are still alive`);
}

/** Largest number of bytes that headers and not yet sent bodies of one instance may take in the host. */
export const heldBytesMax = 16 * 1024 * 1024;

/** Counts what the host keeps for one instance outside of the guest's own memory. */
export class HeldBytes {
  bytes = 0;

  get free(): number {
    return heldBytesMax - this.bytes;
  }

  take(bytes: number): void {
    if (this.bytes + bytes > heldBytesMax) throw new Error(`cannot keep ${bytes} more bytes for the guest: at most ${heldBytesMax}, kept ${this.bytes}`);
    this.bytes += bytes;
  }

  give(bytes: number): void {
    this.bytes -= bytes;
  }
}

const heldByContext = new WeakMap<WasiContext, HeldBytes>();

/** The count of an instance. It goes on over executions, because a reused instance may keep its handles. */
export function heldBytes(context: WasiContext): HeldBytes {
  let held = heldByContext.get(context);
  if (held === undefined) {
    held = new HeldBytes();
    heldByContext.set(context, held);
  }
  return held;
}
