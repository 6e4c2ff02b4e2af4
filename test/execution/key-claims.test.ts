import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { guaranteeKey } from '../../host/execution/guarantee.ts';
import { KeyClaims, ThreadClaims } from '../../host/execution/key-claims.ts';

const key = guaranteeKey('acme', 'f', '', 'k');

test('KeyClaims: a key is taken by one thread until it gives it back', () => {
  const { shared } = new KeyClaims();
  const [one, other] = [new ThreadClaims(shared, 0), new ThreadClaims(shared, 1023)];
  assert.equal([one.take(key), one.take(key), other.take(key)], [true, false, false]);
  one.drop(key);
  assert.equal([other.take(key), one.take(key)], [true, false]);
});

test('KeyClaims: threads take no key of an execution that the supervisor looks after', () => {
  const claims = new KeyClaims();
  const thread = new ThreadClaims(claims.shared, 1);
  claims.hold(key);
  claims.hold(key);
  claims.letGo(key);
  assert.is(thread.take(key), false);
  claims.letGo(key);
  assert.is(thread.take(key), true);
});

test('KeyClaims: until the supervisor has heard of what a thread has begun, it expects it', () => {
  const claims = new KeyClaims();
  const [one, other] = [new ThreadClaims(claims.shared, 0), new ThreadClaims(claims.shared, 1)];
  assert.is(claims.expects(key), false);
  one.take(key);
  other.drop(key);
  claims.heard(key, 1);
  assert.equal([claims.expects(key), other.take(key)], [true, false], 'others cannot give it back');
  claims.heard(key, 0);
  assert.equal([claims.expects(key), other.take(key)], [false, true]);
});

test('KeyClaims: a thread that is gone has none any more, others keep theirs', () => {
  const claims = new KeyClaims();
  const [one, other] = [new ThreadClaims(claims.shared, 0), new ThreadClaims(claims.shared, 1)];
  const keys = Array.from({ length: 50 }, (_, i) => guaranteeKey('acme', 'f', '', `k${i}`));
  for (const [i, each] of keys.entries()) assert.ok((i % 2 ? one : other).take(each), each);
  claims.leave(0);
  assert.equal(
    keys.map((each) => new ThreadClaims(claims.shared, 2).take(each)),
    keys.map((_, i) => i % 2 === 1),
  );
});

test.run();
