import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Artifact, decodeArtifact, encodeArtifact, PROFILE } from '../../host/module/artifact.ts';

const artifact: Artifact = {
  digest: `sha256:${'ab'.repeat(32)}`,
  profile: PROFILE,
  plan: { modules: [], types: [], resources: [], imports: [], lowers: [], lifts: [], steps: [], components: 1, exports: [] },
  modules: [Uint8Array.from([1, 2, 3]), new Uint8Array(0), Uint8Array.from({ length: 300 }, (_, index) => index)],
  reports: [],
  imports: ['wasi:io/poll@0.2.3'],
  open: [],
  exports: ['wasi:http/incoming-handler@0.2.3'],
  bytes: 1234,
  restorable: false,
  reasons: ['it changes a table (table.set) — “often”'],
};
const encoded = encodeArtifact(artifact);

test('encodeArtifact: decodes to the same artifact', () => {
  assert.equal(decodeArtifact(encoded), artifact);
  const shifted = new Uint8Array(encoded.length + 5);
  shifted.set(encoded, 5);
  assert.equal(decodeArtifact(shifted.subarray(5)), artifact, 'at any place of a larger buffer');
});

test('decodeArtifact: an artifact of another profile is none', () => {
  assert.is(decodeArtifact(encodeArtifact({ ...artifact, profile: 'plan-0/core-0' })), undefined);
});

test('decodeArtifact: damaged bytes are never an artifact', () => {
  for (let length = 0; length < encoded.length; length++) assert.is(decodeArtifact(encoded.subarray(0, length)), undefined);
  fc.assert(
    fc.property(fc.nat(encoded.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const damaged = Uint8Array.from(encoded);
      damaged[at] = (damaged[at] as number) ^ change;
      return decodeArtifact(damaged) === undefined;
    }),
    { numRuns: 2_000 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => decodeArtifact(bytes) === undefined));
});

test.run();
