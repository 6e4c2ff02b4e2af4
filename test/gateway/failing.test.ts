import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Failing } from '../../host/gateway/failing.ts';
import type { RequestBody } from '../../host/gateway/request-body.ts';

const mib = 1024 * 1024;
const chunk = Buffer.alloc(mib, 7);
const body = { cancel: () => undefined } as unknown as RequestBody;

/** A request whose body comes as the test says. */
class Incoming extends EventEmitter {
  complete = false;
  readableEnded = false;
  destroyed = false;

  send(chunks: number): void {
    for (let i = 0; i < chunks; i++) this.emit('data', chunk);
  }

  end(): void {
    this.complete = true;
    this.readableEnded = true;
    this.emit('end');
  }
}

const newFailing = (): Failing =>
  new Failing(
    () => undefined,
    () => undefined,
  );

const copyOf = (failing: Failing, bytesMax = 1024 * mib) => {
  const incoming = new Incoming();
  const copy = failing.copy(incoming as unknown as IncomingMessage, bytesMax);
  copy.start();
  const whole = (): Promise<Uint8Array | undefined> => new Promise((resolve) => copy.finish(body, resolve));
  return { incoming, copy, whole };
};

test('Failing: a thread keeps at most 128 MiB of bodies at once; the one that goes over gives way, and its room is free again', async () => {
  const failing = newFailing();
  const [first, second] = [copyOf(failing), copyOf(failing)];
  first.incoming.send(100);
  second.incoming.send(28);
  second.incoming.send(1);
  second.incoming.end();
  assert.is(await second.whole(), undefined);
  first.incoming.end();
  assert.is((await first.whole())?.length, 100 * mib);
  const third = copyOf(failing);
  third.incoming.send(100);
  third.incoming.end();
  assert.is((await third.whole())?.length, 100 * mib, 'nothing is counted any more of the two before');
});

test('Failing: one body alone may have more, up to what its function takes', async () => {
  const failing = newFailing();
  const alone = copyOf(failing);
  alone.incoming.send(130);
  alone.incoming.end();
  assert.is((await alone.whole())?.length, 130 * mib);
  const over = copyOf(failing, 2 * mib);
  over.incoming.send(3);
  over.incoming.end();
  assert.is(await over.whole(), undefined);
});

test('Failing: a body whose client went away is not whole', async () => {
  const { incoming, whole } = copyOf(newFailing());
  incoming.send(1);
  const asked = whole();
  incoming.destroyed = true;
  incoming.emit('close');
  assert.is(await asked, undefined);
});

test.run();
