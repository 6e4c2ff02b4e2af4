import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { commonProtocol, parseProtocols, protocolConflict, protocols, protocolsText } from '../../host/edge/protocol.ts';

const of = (oldest: number, newest = oldest) => ({ oldest, newest });

test('parseProtocols: reads what edges say, and takes those that say nothing for the first', () => {
  assert.equal(parseProtocols(undefined), of(1));
  assert.equal(parseProtocols(protocolsText(protocols)), protocols);
  assert.equal([parseProtocols('3'), parseProtocols('2-4')], [of(3), of(2, 4)]);
  for (const text of ['', 'x', '0', '4-2', '1-', '-1', '1.5', '9999999', '1-2-3']) assert.is(parseProtocols(text), undefined, text);
});

test('commonProtocol: the newest that both speak, whichever side is newer', () => {
  assert.is(commonProtocol(of(1, 2), of(1, 3)), 2);
  assert.is(commonProtocol(of(2, 5), of(1, 3)), 3);
  assert.is(commonProtocol(of(1), of(1, 2)), 1);
  assert.is(commonProtocol(of(3, 4), of(1, 2)), undefined);
  assert.is(commonProtocol(of(1, 2), of(3)), undefined);
});

test('protocolConflict: names who has to be updated', () => {
  assert.is(protocolConflict(of(1, 2), of(3)), 'the edge speaks protocol 1-2, the origin 3; the edge is too old for the origin: update the edge');
  assert.match(protocolConflict(of(3, 4), of(1, 2)), 'update the origin');
});

test.run();
