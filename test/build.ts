// Builds what `npm pack` ships: `dist/` mirrors the checkout, with JavaScript and declarations instead of TypeScript, all
// WIT that the host reads, the runtime of functions that are built of TypeScript, and the example functions. Node strips no types under node_modules.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { fileURLToPath } from 'node:url';
import { releasedWit } from '../host/module/host-signatures.ts';

const root = new URL('../', import.meta.url);
const dist = new URL('dist/', root);

type Package = { name: string; version: string; license: string };

function copyInto(folder: string, files: URL[]): void {
  const into = new URL(folder, dist);
  mkdirSync(into, { recursive: true });
  for (const file of files) cpSync(file, new URL(file.pathname.slice(file.pathname.lastIndexOf('/') + 1), into));
}

function filesIn(folder: URL, ending: string): URL[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(ending))
    .map((name) => new URL(name, folder));
}

function exampleFiles(): URL[] {
  const list = new URL('fixtures/examples.json', root);
  const examples = JSON.parse(readFileSync(list, 'utf8')) as { component: string }[];
  return [list, ...examples.map(({ component }) => new URL(component, list))];
}

/** The runtime of functions as JavaScript, and its types. */
function guestInto(folder: URL): void {
  const guest = new URL('guest/', root);
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(guest)) {
    const text = readFileSync(new URL(name, guest), 'utf8');
    if (name.endsWith('.d.ts')) writeFileSync(new URL(name, folder), text);
    else writeFileSync(new URL(name.replace(/\.ts$/, '.js'), folder), stripTypeScriptTypes(text).replace(/(from|import) '(\.\/[\w-]+)\.ts'/g, "$1 '$2.js'"));
  }
}

rmSync(dist, { recursive: true, force: true });
execFileSync(process.execPath, [fileURLToPath(new URL('node_modules/typescript/bin/tsc', root)), '-p', 'tsconfig.build.json'], {
  cwd: fileURLToPath(root),
  stdio: 'inherit',
});
const { name, version, license } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as Package;
writeFileSync(new URL('package.json', dist), `${JSON.stringify({ name, version, license, type: 'module' }, null, 2)}\n`);
copyInto('fixtures/', exampleFiles());
guestInto(new URL('guest/', dist));
copyInto('wit/', filesIn(new URL('wit/', root), '.wit'));
for (const [file, text] of releasedWit()) writeFileSync(new URL(`wit/${file}`, dist), text);
