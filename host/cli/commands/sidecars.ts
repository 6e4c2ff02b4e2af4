import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Problem } from '../../base/errors.ts';
import { parseJsonc } from '../../base/jsonc.ts';
import { type Command, UsageError } from '../command.ts';
import { uploadComponent } from '../component-upload.ts';
import { fields, print, progress, table } from '../terminal.ts';

/** A file with an object of strings. */
function settingsOf(file: string): Record<string, string> {
  const { value, problems } = parseJsonc(readFileSync(file, 'utf8'));
  const wrong = problems.map((problem) => `cannot read ${file}: ${problem}`);
  const entries = typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : undefined;
  if (!entries?.every(([, text]) => typeof text === 'string')) wrong.push(`cannot read ${file}: the configuration must be an object of strings`);
  if (wrong.length > 0) throw new Problem('request-invalid', wrong[0] as string, wrong);
  return value as Record<string, string>;
}

export const sidecarsAdd: Command = {
  name: 'sidecars add',
  summary: 'Add a component to the library of sidecars.',
  parameters: ['FILE'],
  options: {
    name: { type: 'string', value: 'N', description: 'Its name.' },
    version: { type: 'string', value: 'V', description: 'Three numbers, as in 1.2.0. Default: the next one.' },
    agent: { type: 'boolean', description: 'Whoever uses it gives it its configuration, in the manifest.' },
    config: { type: 'string', value: 'FILE', description: 'JSON object of strings: the configuration that it has with it.' },
    debug: { type: 'boolean', description: 'Requests with a token for it may add it to themselves.' },
    public: { type: 'boolean', description: 'For all tenants; needs an admin.' },
  },
  run: async ({ parameters: [file = ''], options, terminal, directory, connect }) => {
    const name = options.text('name');
    if (name === undefined) throw new UsageError('a sidecar needs a name: --name');
    const config = options.text('config');
    const client = connect();
    const settings = config === undefined ? {} : settingsOf(resolve(directory, config));
    progress(terminal, `uploading and preparing ${file}`);
    try {
      const module = await uploadComponent(client, resolve(directory, file));
      const json = {
        name,
        version: options.text('version'),
        module,
        agent: options.flag('agent'),
        settings,
        debug: options.flag('debug'),
        public: options.flag('public'),
      };
      const added = await (await client.api.v1.sidecars.$post({ query: client.tenant, json })).json();
      progress(terminal, '');
      print(terminal, added, ({ version, kinds, digest }) => `${name}@${version}  ${kinds.join(', ')}  ${digest}`);
    } finally {
      progress(terminal, '');
    }
  },
};

export const sidecarsLs: Command = {
  name: 'sidecars ls',
  summary: 'List the sidecars that functions of the tenant may use, and who uses them.',
  parameters: [],
  options: {},
  run: async ({ terminal, connect }) => {
    const { api, tenant } = connect();
    const { items } = await (await api.v1.sidecars.$get({ query: tenant })).json();
    print(terminal, { items }, () =>
      table(
        ['sidecar', 'kind', 'from', 'of', 'used by'],
        items.map(({ name, version, kinds, from, debug, public: shared, usedBy }) => [
          `${name}@${version}`,
          `${kinds.join(', ')}${debug ? ', for debugging' : ''}`,
          from,
          shared ? 'the node' : 'the tenant',
          usedBy.join(', ') || '-',
        ]),
        'no sidecars',
      ),
    );
  },
};

/** `access-log@1.2.0` as the API takes it. */
const named = (text: string): { name: string; version?: string } => {
  const [name = '', version] = text.split('@');
  return version === undefined ? { name } : { name, version };
};

export const sidecarsShow: Command = {
  name: 'sidecars show',
  summary: 'Show a sidecar: what it is, imports and exports, and who uses it.',
  parameters: ['NAME[@VERSION]'],
  options: {},
  run: async ({ parameters: [text = ''], terminal, connect }) => {
    const { api, tenant } = connect();
    const { name, ...version } = named(text);
    const found = await (await api.v1.sidecars[':name'].$get({ param: { name }, query: { ...tenant, ...version } })).json();
    print(terminal, found, (shown) =>
      fields([
        ['sidecar', `${shown.name}@${shown.version}`],
        ['kind', shown.kinds.join(', ')],
        ['from', shown.from === 'agent' ? 'agent: who uses it configures it' : 'image: its configuration is with it'],
        ['settings', shown.settings.join(', ') || '-'],
        ['for debugging', shown.debug ? 'yes' : 'no'],
        ['of', shown.public ? 'the node' : 'the tenant'],
        ['module', `${shown.digest}, ${shown.bytes} bytes`],
        ['exports', shown.exports.join(', ') || '-'],
        ['imports', shown.imports.join(', ') || '-'],
        ['used by', [...shown.usedBy, ...(shown.usedByOthers > 0 ? [`${shown.usedByOthers} functions of other tenants`] : [])].join(', ') || '-'],
        ['instances', shown.instances.map(({ id, scope, isolate }) => `${id} (${scope}, isolate-${isolate})`).join(', ') || '-'],
      ]),
    );
  },
};

export const sidecarsRm: Command = {
  name: 'sidecars rm',
  summary: 'Remove a sidecar that no function uses.',
  parameters: ['NAME[@VERSION]'],
  options: {},
  run: async ({ parameters: [text = ''], terminal, connect }) => {
    const { api, tenant } = connect();
    const { name, ...version } = named(text);
    await api.v1.sidecars[':name'].$delete({ param: { name }, query: { ...tenant, ...version } });
    print(terminal, { removed: text }, () => `removed ${text}`);
  },
};
