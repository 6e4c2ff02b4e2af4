import { parentPort, workerData } from 'node:worker_threads';
import { Problem } from '../base/errors.ts';
import { encodeArtifact } from './artifact.ts';
import { hostSignatures } from './host-signatures.ts';
import { prepare } from './prepare.ts';
import type { PrepareReply, PrepareRequest, PrepareWorkerData } from './prepare-protocol.ts';

const { implemented } = workerData as PrepareWorkerData;

function reply(message: PrepareReply): void {
  parentPort?.postMessage(message, message.kind === 'prepared' ? [message.artifact.buffer] : []);
}

parentPort?.on('message', ({ bytes }: PrepareRequest) => {
  try {
    reply({ kind: 'prepared', artifact: encodeArtifact(prepare(bytes, implemented)) });
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    reply({ kind: 'refused', code: error.code, message: error.message, problems: error.problems });
  }
});

hostSignatures();
reply({ kind: 'ready' });
