import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type FeedMessage, judge, type Position, parseHello, signMessage } from '../../host/edge/message.ts';
import { protocols } from '../../host/edge/protocol.ts';
import { boxPublicKey, newBoxKey, openSealed, sealFor } from '../../host/edge/sealing.ts';
import { createSigner, fingerprintOf, newSigningKey } from '../../host/edge/signing.ts';
import type { Json } from '../../host/store/table.ts';

const signer = createSigner(newSigningKey());
const stranger = createSigner(newSigningKey());
const at = (revision: number): Position => ({ key: signer.publicKey, revision });

const message = (revision: number, base: number | null, put: [string, Json][] = [], remove: string[] = []): FeedMessage => ({
  format: protocols.oldest,
  product: '0.1.0',
  domain: 'localhost',
  revision,
  base,
  put,
  remove,
});
const told = (revision: number, base: number | null): string => signMessage(signer, message(revision, base));

test('judge: applies what comes next, knows what it was told, and finds gaps', () => {
  assert.is(judge(at(0), told(7, null)).kind, 'apply');
  assert.is(judge(at(7), told(8, 7)).kind, 'apply');
  assert.is(judge(at(8), told(8, 7)).kind, 'known');
  assert.is(judge(at(8), told(8, null)).kind, 'known');
  assert.is(judge(at(7), told(9, 8)).kind, 'gap');
  assert.is(judge(at(0), told(9, 8)).kind, 'gap');
  assert.is(judge(at(7), told(12, null)).kind, 'apply');
});

test('judge: refuses what another key signed, what was changed, what goes backwards and what it cannot read', () => {
  const why = (position: Position, data: string): string => {
    const verdict = judge(position, data);
    return verdict.kind === 'refuse' ? verdict.why : verdict.kind;
  };
  assert.is(why(at(1), signMessage(stranger, message(2, 1))), 'signature');
  assert.is(why(at(1), told(2, 1).replace('"localhost"', '"elsewhere"')), 'signature');
  assert.is(why(at(9), told(8, null)), 'backwards');
  assert.is(why(at(1), signMessage(signer, { ...message(2, 1), format: protocols.newest + 1 })), 'form');
  for (const text of ['', '.', 'x', 'x.{}', '{}']) assert.is(why(at(1), text), 'signature');
});

test('judge: no text makes it throw', () => {
  fc.assert(fc.property(fc.string(), fc.nat(), (text, revision) => void judge(at(revision), text)));
  fc.assert(fc.property(fc.jsonValue(), (value) => void judge(at(1), `${signer.sign(JSON.stringify(value))}.${JSON.stringify(value)}`)));
  fc.assert(fc.property(fc.string(), (text) => void parseHello(text)));
});

/** An origin that changes keys at random, and an edge that hears of it over a bad line. */
test('judge: lost, repeated and reordered messages end in the state of the origin', () => {
  const step = fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd'), remove: fc.boolean(), fate: fc.constantFrom('deliver', 'lose', 'twice', 'later') });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.array(fc.nat(1000), { maxLength: 40 }), (steps, order) => {
      const origin = new Map<string, Json>();
      let edge = new Map<string, Json>();
      let position = at(0);
      let revision = 1;
      let late: string[] = [];
      const whole = (): string => signMessage(signer, message(revision, null, [...origin]));
      const hear = (data: string): void => {
        const verdict = judge(position, data);
        // What cannot be followed ends the connection; the next one begins where the edge is, or with everything.
        if (verdict.kind === 'gap') hear(whole());
        if (verdict.kind !== 'apply') return;
        if (verdict.message.base === null) edge = new Map();
        for (const [key, value] of verdict.message.put) edge.set(key, value);
        for (const key of verdict.message.remove) edge.delete(key);
        position = at(verdict.message.revision);
      };
      for (const [index, { key, remove, fate }] of steps.entries()) {
        const base = revision++;
        if (remove) origin.delete(key);
        else origin.set(key, revision);
        const data = signMessage(signer, message(revision, base, remove ? [] : [[key, revision]], remove ? [key] : []));
        if (fate === 'later') late.push(data);
        else if (fate !== 'lose') for (let i = 0; i < (fate === 'twice' ? 2 : 1); i++) hear(data);
        if ((order[index] ?? 0) % 3 === 0) {
          for (const data of late.reverse()) hear(data);
          late = [];
        }
        assert.ok(position.revision <= revision);
      }
      hear(whole());
      assert.equal([...edge].sort(), [...origin].sort());
    }),
    { numRuns: 200 },
  );
});

test('sealFor: only the key that it was sealed for opens it, under its own name, unchanged', () => {
  const [key, other] = [newBoxKey(), newBoxKey()];
  const box = sealFor(boxPublicKey(key), 'a/secret/f/KEY', 'grüße');
  assert.is(openSealed(key, 'a/secret/f/KEY', box), 'grüße');
  assert.not.equal(box, sealFor(boxPublicKey(key), 'a/secret/f/KEY', 'grüße'));
  assert.throws(() => openSealed(other, 'a/secret/f/KEY', box));
  assert.throws(() => openSealed(key, 'a/secret/f/OTHER', box));
  const bytes = Buffer.from(box, 'base64');
  bytes[bytes.length - 1]! ^= 1;
  assert.throws(() => openSealed(key, 'a/secret/f/KEY', bytes.toString('base64')));
  assert.throws(() => sealFor('AA', 'n', 'v'));
});

test('fingerprintOf: is of the key', () => {
  assert.match(fingerprintOf(signer.publicKey), /^sha256:[0-9a-f]{64}$/);
  assert.is.not(fingerprintOf(signer.publicKey), fingerprintOf(stranger.publicKey));
});

test.run();
