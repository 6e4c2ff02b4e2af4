/** JavaScript Promise Integration (https://github.com/WebAssembly/js-promise-integration), which TypeScript's library does not declare yet. */
declare namespace WebAssembly {
  /** A function import that may return a promise, on which the calling guest is suspended. */
  class Suspending {
    constructor(implementation: (...values: never[]) => unknown);
  }
  /** An exported function that returns a promise and may be suspended on the way. */
  function promising(exported: (...values: never[]) => unknown): (...values: unknown[]) => Promise<unknown>;
}
