import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { nearest } from '../../host/base/nearest.ts';

test('nearest: gives the candidate that was likely meant', () => {
  assert.is(nearest('gatewys', ['http', 'gateways', 'data']), 'gateways');
  assert.is(nearest('wasi:io/stream', ['wasi:io/streams', 'wasi:io/poll']), 'wasi:io/streams');
  assert.is(nearest('MEMORYMIB', ['memoryMib']), 'memoryMib');
});

test('nearest: gives none when none is near, and does not work on endless words', () => {
  assert.is(nearest('zebra', ['http', 'data']), undefined);
  assert.is(nearest('x'.repeat(201), ['x'.repeat(201)]), undefined);
  assert.is(nearest('anything', []), undefined);
});

test.run();
