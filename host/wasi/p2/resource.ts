import type { WasiContext } from '../context.ts';

/**
 * Rules that all host resources share: a parent may not go before its children, and what the host keeps for a guest
 * is bounded.
 */

/** A resource that others are made from. Every child counts until it is dropped or consumed. */
export type Parent = { children: number };

const endingKey = 'nacelle:ending';

/**
 * Says that the execution is over: from now until `context.local` is emptied, handles may be dropped in any order.
 * To be called before the drops that the host makes for a guest.
 */
export function beginTeardown(context: WasiContext): void {
  context.local.set(endingKey, true);
}

/** Throws (which ends the guest) if `parent` still has children. `action` says what was tried: `drop input-stream`. */
export function assertChildless(context: WasiContext, parent: Parent, action: string): void {
  if (parent.children > 0 && !context.local.has(endingKey)) throw new Error(`cannot ${action}: ${parent.children} of its children are still alive`);
}

/** Largest number of bytes that headers and not yet sent bodies of one execution may take in the host. */
export const heldBytesMax = 16 * 1024 * 1024;

/** Counts what the host keeps for one execution outside of the guest's own memory. */
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

const heldKey = 'nacelle:held';

export function heldBytes(context: WasiContext): HeldBytes {
  let held = context.local.get(heldKey) as HeldBytes | undefined;
  if (held === undefined) {
    held = new HeldBytes();
    context.local.set(heldKey, held);
  }
  return held;
}
