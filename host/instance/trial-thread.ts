/** A thread for trials of sidecars: trials.ts says when it begins and ends. */
import { parentPort } from 'node:worker_threads';
import { tryConfiguration } from './trial.ts';
import type { TrialReply, TrialRequest } from './trials.ts';

parentPort?.on('message', ({ trial, sidecar, timeMs }: TrialRequest) => {
  const reply = (refusal: string | undefined): void => parentPort?.postMessage({ trial, refusal } satisfies TrialReply);
  // What cannot be linked here is said where it is linked in earnest.
  tryConfiguration(sidecar, timeMs).then(reply, () => reply(undefined));
});
