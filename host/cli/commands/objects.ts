import { createWriteStream, openAsBlob } from 'node:fs';
import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { allItems, type ControlClient, checked } from '../client.ts';
import { type Command, type Context, UsageError } from '../command.ts';
import { print, table } from '../terminal.ts';

type Listed = { items: { key: string; etag: string; bytes: number; contentType: string; modifiedAt: string }[]; prefixes?: string[]; next?: string };

const typeByEnding: Readonly<Record<string, string>> = {
  css: 'text/css',
  gif: 'image/gif',
  html: 'text/html; charset=utf-8',
  jpeg: 'image/jpeg',
  jpg: 'image/jpeg',
  js: 'text/javascript',
  json: 'application/json',
  md: 'text/markdown; charset=utf-8',
  pdf: 'application/pdf',
  png: 'image/png',
  svg: 'image/svg+xml',
  txt: 'text/plain; charset=utf-8',
  wasm: 'application/wasm',
  webp: 'image/webp',
};

/** `BUCKET/KEY`; the key may be empty where `whole` is false. */
export const targetOf = (text: string, whole = true): { bucket: string; key: string } => {
  const slash = text.indexOf('/');
  const [bucket, key] = slash === -1 ? [text, ''] : [text.slice(0, slash), text.slice(slash + 1)];
  if (bucket === '' || (whole && key === '')) throw new UsageError(`give the object as BUCKET/KEY, not ${JSON.stringify(text)}`);
  return { bucket, key };
};

/** Slashes are encoded too, so that no URL library takes a key for a path to be resolved. */
export const urlOf = ({ api, tenant }: ControlClient, { bucket, key }: { bucket: string; key: string }, query: Record<string, string> = {}): URL => {
  const url = api.v1.buckets.$url({ query: { ...tenant } });
  url.pathname = `/v1/objects/${encodeURIComponent(bucket)}${key === '' ? '' : `/${encodeURIComponent(key)}`}`;
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  return url;
};

const bodyOf = async ({ parameters: [, file], terminal, directory }: Context): Promise<Blob> => {
  if (file === undefined || file === '-') return new Blob([new Uint8Array(await terminal.input())]);
  try {
    return await openAsBlob(resolve(directory, file));
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${(error as Error).message}`);
  }
};

const typeOf = (name: string): string => typeByEnding[name.slice(name.lastIndexOf('.') + 1).toLowerCase()] ?? 'application/octet-stream';

/** The header that says how it is computed, percent-encoded, since names may have any characters. */
const computedOf = ({ options }: Context): string | undefined => {
  const asked = options.text('computed');
  if (asked === undefined) return undefined;
  const [name, version] = asked.split('@');
  if (version !== undefined && !/^[1-9]\d{0,9}$/.test(version)) throw new UsageError(`give the function as FN or FN@VERSION, not ${JSON.stringify(asked)}`);
  const params = options.list('params').map((text): [string, string] => {
    const equals = text.indexOf('=');
    if (equals < 1) throw new UsageError(`give a parameter as NAME=TEXT, not ${JSON.stringify(text)}`);
    return [text.slice(0, equals), text.slice(equals + 1)];
  });
  const spec = {
    function: name,
    ...(version !== undefined && { version: Number(version) }),
    source: options.list('source'),
    params: Object.fromEntries(params),
  };
  return encodeURIComponent(JSON.stringify(spec));
};

export const objectsPut: Command = {
  name: 'objects put',
  summary: 'Put an object; without FILE, or with "-", its bytes are read from standard input.',
  parameters: ['BUCKET/KEY', '[FILE]'],
  options: {
    'type': { type: 'string', value: 'TYPE', description: 'Its content type. Default: by the ending of the key.' },
    'header': { type: 'string', multiple: true, value: "'K: V'", description: 'A header that comes back with it: cache-control, nacelle-meta-… and the like.' },
    'computed': {
      type: 'string',
      value: 'FN[@VERSION]',
      description: 'The function that makes it; FILE may be left out, and nothing is read from standard input.',
    },
    'source': { type: 'string', multiple: true, value: 'BUCKET/KEY', description: 'What it is made from, with --computed.' },
    'params': { type: 'string', multiple: true, value: 'NAME=TEXT', description: "The query of the function's request, with --computed." },
    'if-none-match': { type: 'string', value: 'ETAG', description: 'Only if it is not there ("*"), or has another ETag.' },
    'if-match': { type: 'string', value: 'ETAG', description: 'Only if it has this ETag.' },
  },
  run: async (context) => {
    const { parameters, options, terminal, connect } = context;
    const client = connect();
    const target = targetOf(parameters[0] ?? '');
    const headers = new Headers();
    for (const line of options.list('header')) {
      const colon = line.indexOf(':');
      if (colon < 1) throw new UsageError(`give a header as 'K: V', not ${JSON.stringify(line)}`);
      headers.append(line.slice(0, colon).trim(), line.slice(colon + 1).trim());
    }
    for (const name of ['if-match', 'if-none-match']) if (options.has(name)) headers.set(name, options.text(name) ?? '');
    const computed = computedOf(context);
    if (computed) headers.set('nacelle-computed', computed);
    if (!computed || options.has('type')) headers.set('content-type', options.text('type') ?? typeOf(target.key));
    const body = computed && parameters[1] === undefined ? undefined : await bodyOf(context);
    const put = await checked(await client.send(urlOf(client, target), { method: 'PUT', headers, ...(body && { body }) }));
    print(terminal, (await put.json()) as { bytes: number; etag: string }, ({ bytes, etag }) => `put ${target.bucket}/${target.key}  ${bytes} bytes  ${etag}`);
  },
};

export const objectsGet: Command = {
  name: 'objects get',
  summary: 'Print an object byte by byte, or write it to FILE.',
  parameters: ['BUCKET/KEY', '[FILE]'],
  options: { range: { type: 'string', value: 'FROM-TO', description: 'Only these bytes, counted from 0, both included.' } },
  run: async ({ parameters: [name = '', file], options, terminal, directory, connect }) => {
    const client = connect();
    const range = options.text('range');
    const response = await checked(await client.send(urlOf(client, targetOf(name)), range === undefined ? {} : { headers: { range: `bytes=${range}` } }));
    if (file !== undefined && file !== '-' && response.body) {
      await pipeline(Readable.fromWeb(response.body as ReadableStream<Uint8Array>), createWriteStream(resolve(directory, file)));
      print(terminal, { file, etag: response.headers.get('etag') }, () => `wrote ${file}`);
    } else for await (const chunk of response.body ?? []) terminal.out(chunk);
  },
};

export const objectsLs: Command = {
  name: 'objects ls',
  summary: 'List the buckets, or the objects of a bucket that begin with PREFIX, folder by folder.',
  parameters: ['[BUCKET/PREFIX]'],
  options: { recursive: { type: 'boolean', short: 'r', description: 'All objects, not only those up to the next "/".' } },
  run: async ({ parameters: [name], options, terminal, connect }) => {
    const client = connect();
    if (name === undefined) {
      const items = await allItems(async (query) => (await client.api.v1.buckets.$get({ query: { ...client.tenant, ...query } })).json());
      const rows = items.map(({ name: bucket, objects, bytes, storedBytes, savedBytes }) => [bucket, ...[objects, bytes, storedBytes, savedBytes].map(String)]);
      print(terminal, { items }, () => table(['bucket', 'objects', 'bytes', 'stored', 'saved'], rows, 'no buckets'));
      return;
    }
    const { bucket, key: prefix } = targetOf(name, false);
    const asked: Record<string, string> = { ...(prefix && { prefix }), ...(!options.flag('recursive') && { delimiter: '/' }) };
    const prefixes: string[] = [];
    const items = await allItems(async (query) => {
      const page = (await (await checked(await client.send(urlOf(client, { bucket, key: '' }, { ...asked, ...query }), {}))).json()) as Listed;
      prefixes.push(...(page.prefixes ?? []));
      return page;
    });
    const rows = [...prefixes.map((folder) => [folder, '', '']), ...items.map(({ key, bytes, modifiedAt }) => [key, String(bytes), modifiedAt])];
    print(terminal, { items, prefixes }, () => table(['key', 'bytes', 'modified'], rows, 'no objects'));
  },
};

export const objectsRm: Command = {
  name: 'objects rm',
  summary: 'Remove an object.',
  parameters: ['BUCKET/KEY'],
  options: {},
  run: async ({ parameters: [name = ''], terminal, connect }) => {
    const client = connect();
    await checked(await client.send(urlOf(client, targetOf(name)), { method: 'DELETE' }));
    print(terminal, { removed: name }, () => `removed ${name}`);
  },
};
