/** Whether a version that an edge has taken over fails there. */

/** After `failures` failed requests among about `of`, it is taken back; 0: never. It is new for `trialMs`, and until `of` requests were made. */
export type TrialRules = { failures: number; of: number; trialMs: number };

type Batch = { requests: number; failures: number };

/** The last requests of a version, `of` or a few more. */
export type Window = { batches: Batch[]; requests: number; failures: number };

export const emptyWindow = (): Window => ({ batches: [], requests: 0, failures: 0 });

export function addToWindow(window: Window, { requests, failures }: Batch, of: number): void {
  window.batches.push({ requests, failures });
  window.requests += requests;
  window.failures += failures;
  for (let [oldest] = window.batches; oldest && window.requests - oldest.requests >= of; [oldest] = window.batches) {
    window.batches.shift();
    window.requests -= oldest.requests;
    window.failures -= oldest.failures;
  }
}

/** Batches may be larger than the rule looks at: then its share counts. */
export const isFailing = ({ requests, failures }: Pick<Window, 'requests' | 'failures'>, rules: TrialRules): boolean =>
  rules.failures > 0 && failures >= rules.failures && failures * rules.of >= rules.failures * requests;
