import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { generatedFiles } from './files.ts';

for (const { path, text } of await generatedFiles()) {
  test(`${path}: is what the sources make ("npm run generate" renews it)`, () => {
    assert.ok(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8') === text);
  });
}

test.run();
