import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { StoredRunToGateway } from '../../host/fleet/stored-run-protocol.ts';
import { StoredRuns } from '../../host/fleet/stored-runs.ts';

const request = {
  id: 'one',
  tenant: 'default',
  function: 'hello',
  arrivedAt: 0,
  method: 'POST',
  authority: 'hello',
  pathWithQuery: '/',
  headers: [],
  body: Buffer.from('small'),
};

test('StoredRuns: sends a small body without the buffer that it shares with others', () => {
  const posted: StoredRunToGateway[] = [];
  const runs = new StoredRuns({ gateway: () => ({ id: 1, post: (message) => posted.push(message) }) });
  void runs.run({ key: 'hello', request, overlay: true });
  const [sent] = posted;
  const body = sent?.kind === 'run-stored' && 'body' in sent.request ? sent.request.body : null;
  assert.equal(body, new Uint8Array(Buffer.from('small')));
  assert.is(body?.buffer.byteLength, 5);
  runs.close();
});

test.run();
