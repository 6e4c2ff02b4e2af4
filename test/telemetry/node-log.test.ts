import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createNodeLog } from '../../host/telemetry/node-log.ts';

function logged(level: string, write: (log: ReturnType<typeof createNodeLog>) => void): Record<string, unknown>[] {
  const lines: string[] = [];
  write(createNodeLog(level, { write: (line) => void lines.push(line) }));
  return lines.map((line) => JSON.parse(line));
}

test('createNodeLog: writes one object a line, with the time, above its level', () => {
  const [line, ...more] = logged('info', (log) => {
    log.debug('not this');
    log.info({ port: 8080 }, 'listening');
  });
  assert.equal(more, []);
  assert.is(line?.msg, 'listening');
  assert.is(line?.port, 8080);
  assert.ok(Math.abs(Date.parse(String(line?.time)) - Date.now()) < 60_000);
});

test('createNodeLog: does not write secrets', () => {
  const secret = 'hunter2';
  const lines = logged('info', (log) => {
    log.info({ token: secret, headers: { authorization: secret, cookie: secret }, request: { headers: { authorization: secret } } }, 'request');
    log.info({ secrets: { KEY: secret }, body: { value: secret, password: secret } }, 'secret put');
  });
  assert.is(lines.length, 2);
  assert.not.match(JSON.stringify(lines), secret);
});

test('createNodeLog: an error has its stack', () => {
  const [line] = logged('info', (log) => log.error({ err: new Error('broken') }, 'failed'));
  assert.match(JSON.stringify(line), 'broken');
  assert.match(JSON.stringify(line), 'node-log.test.ts');
});

test.run();
