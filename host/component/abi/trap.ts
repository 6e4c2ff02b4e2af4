/** `(module (func (export "trap") unreachable))` */
const unreachableModule = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 8, 1, 4, 116, 114, 97, 112, 0, 0, 10, 5, 1, 3, 0, 0, 11,
]);
const raise = new WebAssembly.Instance(new WebAssembly.Module(unreachableModule)).exports.trap as () => never;

/** A trap that the host raised; `code` says why. */
export type HostTrap = WebAssembly.RuntimeError & { code: string };

/**
 * A genuine trap with a code and message. Anything else that JavaScript throws, a `new WebAssembly.RuntimeError`
 * included, can be caught by `catch_all` in the guest; a trap that V8 itself raised cannot.
 */
export function makeTrap(code: string, message: string): HostTrap {
  try {
    return raise();
  } catch (error) {
    const trap = error as HostTrap;
    trap.code = code;
    trap.message = message;
    return trap;
  }
}

/** Thrown within host code when a guest breaks the canonical ABI; becomes a genuine trap before it reaches the guest. */
export class AbiError extends Error {}
