import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseScope, permits, type Scope, soleTenant } from '../../host/deploy/scope.ts';
import { codeOf, openFixture } from './fixture.ts';

const scope = (text: string): Scope => parseScope(text) as Scope;
const admin: Scope[] = [{ kind: 'admin' }];

test('tokens.create: a token is shown once and only its hash is stored', async () => {
  const fixture = await openFixture();
  const { token, id } = await fixture.deployments.tokens.create({ scopes: admin, note: 'first', expiresAt: null });
  const stored = JSON.stringify(fixture.table.scan({ limit: 1000 }));
  assert.match(stored, id);
  assert.not.match(stored, token.split('_').slice(2).join('_'));
  assert.equal((await fixture.deployments.tokens.verify(token))?.scopes, admin);
});

test('tokens.verify: refuses what was never given, cut, changed or of another token', async () => {
  const { deployments } = await openFixture();
  const one = await deployments.tokens.create({ scopes: admin, note: null, expiresAt: null });
  const two = await deployments.tokens.create({ scopes: admin, note: null, expiresAt: null });
  const crossed = `nacelle_${one.id}_${two.token.split('_').slice(2).join('_')}`;
  for (const token of [
    '',
    'nacelle',
    one.token.slice(0, -1),
    `${one.token}A`,
    crossed,
    one.token.toUpperCase(),
    `nacelle_${'0'.repeat(16)}_${'A'.repeat(43)}`,
  ]) {
    assert.is(await deployments.tokens.verify(token), undefined, token);
  }
});

test('tokens.verify: refuses a token from the moment it expires', async () => {
  const { deployments, clock } = await openFixture();
  const { token } = await deployments.tokens.create({ scopes: admin, note: null, expiresAt: clock.now + 1000 });
  clock.now += 999;
  assert.ok(await deployments.tokens.verify(token));
  clock.now += 1;
  assert.is(await deployments.tokens.verify(token), undefined);
  assert.is(await codeOf(deployments.tokens.create({ scopes: admin, note: null, expiresAt: clock.now })), 'request-invalid');
});

test('tokens.remove: refuses the token from then on', async () => {
  const { deployments } = await openFixture();
  const { token, id } = await deployments.tokens.create({ scopes: admin, note: null, expiresAt: null });
  await deployments.tokens.remove(id);
  assert.is(await deployments.tokens.verify(token), undefined);
  assert.is(await codeOf(deployments.tokens.remove(id)), 'not-found');
});

test('parseScope: takes admin and four kinds of a tenant, nothing else', () => {
  for (const text of ['admin', 'deploy:a', 'invoke:a-b', 'debug:default', 'read:x1']) assert.ok(parseScope(text), text);
  for (const text of ['', 'root', 'admin:a', 'read', 'read:', 'read:A', 'read:a:b', 'read:*', ':a', 'deploy:~node', 'read: a'])
    assert.is(parseScope(text), undefined, text);
});

test('permits: a kind holds in its tenant only; deploy and debug include read', () => {
  assert.ok(permits([scope('deploy:a')], 'read', 'a'));
  assert.ok(permits([scope('debug:a')], 'read', 'a'));
  assert.not(permits([scope('invoke:a')], 'read', 'a'));
  assert.not(permits([scope('deploy:a')], 'invoke', 'a'));
  assert.not(permits([scope('deploy:a')], 'deploy', 'b'));
  assert.not(permits([scope('deploy:a')], 'admin', null));
  assert.ok(permits([scope('read:b'), scope('deploy:a')], 'deploy', 'a'));
  assert.is(soleTenant([scope('read:a'), scope('deploy:a')]), 'a');
  assert.is(soleTenant([scope('read:a'), scope('deploy:b')]), undefined);
});

test.run();
