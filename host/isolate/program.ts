/**
 * The program of isolates in one file: a thread that loads its hundred modules one by one takes three times as long to
 * start. It is made from the modules themselves while the node runs; isolates that start before are made of them.
 */
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { extname, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { threadUrl } from './isolate.ts';

const importing = /^import\s+(?:(\{[^}]*\}|\w+|\*\s+as\s+\w+)\s+from\s+)?'([^']+)';?$/gm;
const exporting = /^export\s+((?:async\s+)?function\*?|const|class|let)\s+(\w+)/gm;
/** A module that is loaded when it is needed, by a function that `createRequire` made. */
const loading = /\bload\(`([^`$]+)\$\{moduleExtension\}`\)/g;
const other = /^(?:import|export)\s/m;

const asBinding = (names: string): string => names.replace(/^\*\s+as\s+/, '').replace(/\s+as\s+/g, ': ');

/** Modules as functions that give their exports, each of which runs once, when it is first asked. */
class Joiner {
  private readonly indexes = new Map<string, number>();
  private readonly parts: string[] = [];

  /** Adds a module after those that it imports, and returns its place. Sources import in no circles. */
  async add(url: URL): Promise<number> {
    const known = this.indexes.get(url.href);
    if (known !== undefined) return known;
    await nextTurn();
    const text = await readFile(url, 'utf8');
    const extension = extname(url.pathname);
    const source = extension === '.ts' ? stripTypeScriptTypes(text) : text;
    const places = new Map<string, number>();
    for (const [, , from = ''] of source.matchAll(importing)) if (from.startsWith('.')) places.set(from, await this.add(new URL(from, url)));
    for (const [, from = ''] of source.matchAll(loading)) places.set(from, await this.add(new URL(from + extension, url)));
    this.parts.push(this.wrap(source, url, places));
    this.indexes.set(url.href, this.parts.length - 1);
    return this.parts.length - 1;
  }

  private wrap(source: string, url: URL, places: ReadonlyMap<string, number>): string {
    const names: string[] = [];
    const body = source
      .replace(importing, (_, binding: string | undefined, from: string) => {
        const place = places.get(from);
        const module = place === undefined ? `require(${JSON.stringify(from)})` : `$${place}()`;
        return binding === undefined ? `${module};` : `const ${asBinding(binding)} = ${module};`;
      })
      .replace(loading, (_, from: string) => `$${places.get(from)}()`)
      .replace(exporting, (_, kind: string, name: string) => {
        names.push(name);
        return `${kind} ${name}`;
      })
      .replaceAll('import.meta.url', JSON.stringify(url.href));
    if (other.test(body)) throw new Error(`cannot join ${url.pathname} to a program: ${other.exec(body)?.[0]}`);
    return `const $${this.parts.length} = $once((() => {${body}\nreturn { ${names.join(', ')} };\n}));`;
  }

  /** The script that runs the module at `entry`. `require` finds packages where the modules would. */
  text(entry: number, url: URL): string {
    const head = `const require = process.getBuiltinModule('node:module').createRequire(${JSON.stringify(url.href)});`;
    const once = 'const $once = (run) => { let made; return () => (made ??= run()); };';
    return `(() => {'use strict';\n${head}\n${once}\n${this.parts.join('\n')}\n$${entry}();\n})();\n`;
  }
}

/** The module and all of this product that it imports, as one CommonJS script. */
export async function joinModules(entry: URL): Promise<string> {
  const joiner = new Joiner();
  return joiner.text(await joiner.add(entry), entry);
}

/** Writes the program of isolates into a directory; returns its path. */
export async function writeProgram(directory: string): Promise<string> {
  const text = await joinModules(threadUrl);
  const digest = createHash('sha256').update(text).digest('hex').slice(0, 16);
  const path = join(directory, `isolate-${digest}.cjs`);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  if ((await readFile(path, 'utf8').catch(() => undefined)) === text) return path;
  await writeFile(`${path}.${process.pid}`, text, { mode: 0o600 });
  await rename(`${path}.${process.pid}`, path);
  return path;
}
