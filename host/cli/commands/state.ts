import { allItems, type ControlClient, checked } from '../client.ts';
import { type Command, UsageError } from '../command.ts';
import { durationMs } from '../duration.ts';
import { print, table } from '../terminal.ts';

/** A bucket that is shared, or of a session, has slashes in its name. */
const paramOf = (bucket: string): { bucket: string } => ({ bucket: encodeURIComponent(bucket) });

/** Where a value is. A path has no room for the keys "." and "..". */
const urlOf = ({ api, tenant }: ControlClient, bucket: string, key: string): URL => {
  if (key === '' || key === '.' || key === '..') throw new UsageError(`the key must have another name than ${JSON.stringify(key)} to be reached from here`);
  const url = api.v1.state[':bucket'].$url({ param: paramOf(bucket), query: tenant });
  url.pathname = `${url.pathname}/${encodeURIComponent(key)}`;
  return url;
};

const ttlMsOf = (text: string): number => {
  const ms = durationMs(text);
  if (ms === undefined || ms < 1) throw new UsageError(`--ttl must be a time like "90s" or "10m", got "${text}"`);
  return ms;
};

export const stateLs: Command = {
  name: 'state ls',
  summary: 'List the keys of a bucket, of a shared one ("bucket/FN/NAME") or of a session ("session/FN/ID"); or the buckets.',
  parameters: ['[BUCKET]'],
  options: { prefix: { type: 'string', value: 'TEXT', description: 'Only keys that begin with it.' } },
  run: async ({ parameters: [bucket], options, terminal, connect }) => {
    const { api, tenant } = connect();
    if (bucket === undefined) {
      const items = await allItems(async (query) => (await api.v1.state.$get({ query: { ...tenant, ...query } })).json());
      const rows = items.map(({ name, keys, bytes }) => [name, String(keys), String(bytes)]);
      print(terminal, { items }, () => table(['bucket', 'keys', 'bytes'], rows, 'no buckets'));
      return;
    }
    const prefix = options.text('prefix');
    const asked = { ...tenant, ...(prefix === undefined ? {} : { prefix }) };
    const items = await allItems(async (query) => (await api.v1.state[':bucket'].$get({ param: paramOf(bucket), query: { ...asked, ...query } })).json());
    print(terminal, { items }, () => items.map(({ key }) => key).join('\n'));
  },
};

export const stateGet: Command = {
  name: 'state get',
  summary: 'Print the value of a key, byte by byte.',
  parameters: ['BUCKET', 'KEY'],
  options: {},
  run: async ({ parameters: [bucket = '', key = ''], terminal, connect }) => {
    const client = connect();
    const bytes = new Uint8Array(await (await checked(await client.send(urlOf(client, bucket, key), {}))).arrayBuffer());
    if (terminal.json) print(terminal, { key, base64: Buffer.from(bytes).toString('base64') }, () => '');
    else terminal.out(bytes);
  },
};

export const statePut: Command = {
  name: 'state put',
  summary: 'Set the value of a key; without VALUE it is read from standard input.',
  parameters: ['BUCKET', 'KEY', '[VALUE]'],
  options: { ttl: { type: 'string', value: 'TIME', description: 'After how long the value is gone ("90s", "10m"); it stays if not given.' } },
  run: async ({ parameters: [bucket = '', key = '', value], options, terminal, connect }) => {
    const client = connect();
    const url = urlOf(client, bucket, key);
    const ttl = options.text('ttl');
    if (ttl !== undefined) url.searchParams.set('ttlMs', String(ttlMsOf(ttl)));
    const body = value ?? new Uint8Array(await terminal.input());
    await checked(await client.send(url, { method: 'PUT', body, headers: { 'content-type': 'application/octet-stream' } }));
    print(terminal, { bucket, key }, () => `put ${key} in ${bucket}`);
  },
};

export const stateRm: Command = {
  name: 'state rm',
  summary: 'Remove a key from a bucket.',
  parameters: ['BUCKET', 'KEY'],
  options: {},
  run: async ({ parameters: [bucket = '', key = ''], terminal, connect }) => {
    const client = connect();
    await checked(await client.send(urlOf(client, bucket, key), { method: 'DELETE' }));
    print(terminal, { removed: key }, () => `removed ${key} from ${bucket}`);
  },
};
