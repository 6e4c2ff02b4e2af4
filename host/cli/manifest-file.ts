import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { Problem } from '../base/errors.ts';
import { parseJsonc } from '../base/jsonc.ts';
import { isName } from '../deploy/names.ts';
import { UsageError } from './command.ts';
import type { Options } from './options.ts';

type ManifestObject = Record<string, unknown>;

/** What is to be deployed: a manifest without `component` and `source`, and the file that is to be uploaded, or built and uploaded, if any. */
export type Target = { manifest: ManifestObject; component: string | undefined; source: string | undefined };

const MANIFEST_NAMES = ['nacelle.jsonc', 'nacelle.json'];

function readManifest(file: string): ManifestObject {
  const { value, problems } = parseJsonc(readFileSync(file, 'utf8'));
  const listed = problems.map((problem) => `cannot read ${file}: ${problem}`);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) listed.push(`cannot read ${file}: a manifest must be an object`);
  if (listed.length > 0) throw new Problem('manifest-invalid', listed[0] as string, listed);
  return value as ManifestObject;
}

const SOURCE = /\.[cm]?[jt]sx?$/;

/** Whether a file is a module to build a component of. */
export const isSource = (file: string): boolean => SOURCE.test(file);

/** `./build/My_Orders.wasm` gives `my-orders`, `./orders/src/index.ts` gives `orders`. */
export function nameOf(file: string): string {
  const own = basename(file)
    .replace(/\.wasm$/, '')
    .replace(SOURCE, '');
  const folder = dirname(file);
  const above = basename(folder) === 'src' ? dirname(folder) : folder;
  return (isSource(file) && ['index', 'main'].includes(own) ? basename(above) : own)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+|-+$/g, '')
    .slice(0, 63);
}

function manifestOfFolder(folder: string): string {
  const file = MANIFEST_NAMES.map((name) => join(folder, name)).find((candidate) => existsSync(candidate));
  if (!file) throw new UsageError(`there is no ${MANIFEST_NAMES[0]} in ${folder}: name a manifest, a .wasm file or a source`);
  return file;
}

/** The path at a key of a manifest. */
function pathAt(key: string, value: unknown, file: string): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'string') throw new Problem('manifest-invalid', `cannot deploy ${file}: ${key} must be a path, got ${JSON.stringify(value)}`);
  return resolve(dirname(file), value);
}

function fromManifest(file: string): Target {
  const { component, source, ...manifest } = readManifest(file);
  const given = Object.entries({ component, source, module: manifest.module }).filter(([, value]) => value !== undefined);
  if (given.length > 1)
    throw new Problem('manifest-invalid', `cannot deploy ${file}: it has ${given.map(([key]) => key).join(' and ')}, and one of them is enough`);
  return { manifest, component: pathAt('component', component, file), source: pathAt('source', source, file) };
}

function fromFile(file: string): Target {
  if (file.endsWith('.wasm')) return { manifest: { name: nameOf(file) }, component: file, source: undefined };
  return isSource(file) ? { manifest: { name: nameOf(file) }, component: undefined, source: file } : fromManifest(file);
}

function setKey(target: unknown, [key = '', ...rest]: readonly string[], value: unknown): unknown {
  const object = typeof target === 'object' && target !== null && !Array.isArray(target) ? (target as ManifestObject) : {};
  const inner = Object.hasOwn(object, key) ? object[key] : undefined;
  return { ...object, [key]: rest.length > 0 ? setKey(inner, rest, value) : value };
}

function settingOf(text: string): { path: string[]; value: unknown } {
  const [, path = '', raw = ''] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (path === '') throw new UsageError(`--set must be KEY=VALUE, as in "limits.memoryMib=64", got "${text}"`);
  try {
    return { path: path.split('.'), value: JSON.parse(raw) };
  } catch {
    return { path: path.split('.'), value: raw };
  }
}

/** Where sidecars have files, the content of those that the paths name, in base64. */
function withFiles(manifest: ManifestObject, folder: string): ManifestObject {
  const { sidecars } = manifest;
  if (!Array.isArray(sidecars)) return manifest;
  const read = (path: unknown): unknown => (typeof path === 'string' ? readFileSync(resolve(folder, path)).toString('base64') : path);
  const isObject = (value: unknown): value is ManifestObject => typeof value === 'object' && value !== null && !Array.isArray(value);
  const provisioned = sidecars.map((sidecar: unknown) =>
    isObject(sidecar) && isObject(sidecar.files)
      ? { ...sidecar, files: Object.fromEntries(Object.entries(sidecar.files).map(([name, path]) => [name, read(path)])) }
      : sidecar,
  );
  return { ...manifest, sidecars: provisioned };
}

/** Reads what `nacelle deploy PATH` names: a folder with a manifest, a manifest, a component or a source alone; then applies --name, --route and --set. */
export function readTarget(path: string, options: Options): Target {
  if (!existsSync(path)) throw new UsageError(`there is no ${path}`);
  const file = statSync(path).isDirectory() ? manifestOfFolder(path) : path;
  const read = fromFile(file);
  let { manifest } = read;
  for (const { path: keys, value } of options.list('set').map(settingOf)) manifest = setKey(manifest, keys, value) as ManifestObject;
  if (options.list('route').length > 0) manifest = { ...manifest, routes: [...options.list('route')] };
  if (options.has('name')) manifest = { ...manifest, name: options.text('name') };
  if ((file.endsWith('.wasm') || isSource(file)) && !isName(String(manifest.name)))
    throw new UsageError(`cannot name a function after ${basename(file)}: give a name with --name`);
  return { ...read, manifest: withFiles(manifest, dirname(file)) };
}
