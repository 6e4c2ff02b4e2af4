// Builds fixtures: `node components/build.ts [name…]`, all of them without a name. Needs clang and lld for C, cargo with
// the target wasm32-wasip2 for Rust.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Sources, sourceDigest, wasmDigest } from './digest.ts';
import { type Recipe, recipes } from './recipes.ts';

const fixtures = new URL('../fixtures/', import.meta.url);
const record = new URL('sources.json', fixtures);

function readRecord(): Sources {
  try {
    return JSON.parse(readFileSync(record, 'utf8')) as Sources;
  } catch {
    return {};
  }
}

async function build(recipe: Recipe): Promise<number> {
  const file = new URL(`${recipe.name}.wasm`, fixtures);
  const bytes = await recipe.build();
  mkdirSync(dirname(fileURLToPath(file)), { recursive: true });
  writeFileSync(file, bytes);
  return bytes.length;
}

function page(): string {
  const lines = recipes.map((recipe) => `- \`${recipe.name}.wasm\`: ${recipe.about}`);
  return `# Fixtures\nBuilt by \`components/build.ts\`, which also writes this page from the sources' own words. \`sources.json\` has the digests\nof each fixture and of the sources that it was built from; a test says when they no longer agree.\n\n${lines.join('\n')}\n`;
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !recipes.some((recipe) => recipe.name === name));
if (unknown.length > 0) throw new Error(`cannot build ${unknown.join(', ')}: no such fixture`);
const digests = readRecord();
for (const recipe of recipes) {
  if (wanted.length > 0 && !wanted.includes(recipe.name)) continue;
  try {
    const size = await build(recipe);
    digests[recipe.name] = { sources: sourceDigest(recipe.sources), wasm: wasmDigest(recipe.name) };
    console.log(`${recipe.name}: ${size} bytes`);
  } catch (error) {
    process.exitCode = 1;
    console.error(`${recipe.name}: ${error instanceof Error ? error.message : error}`);
  }
}
const kept = recipes.filter((recipe) => digests[recipe.name] !== undefined).map((recipe) => [recipe.name, digests[recipe.name]]);
writeFileSync(record, `${JSON.stringify(Object.fromEntries(kept), null, 2)}\n`);
writeFileSync(new URL('README.md', fixtures), page());
