import { type Command, UsageError } from '../command.ts';
import { print, table } from '../terminal.ts';

/** The value as it was typed or piped in; the line end that a shell adds is not part of it. */
function secretValue(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes).replace(/\r?\n$/, '');
  } catch {
    throw new UsageError('the value on standard input must be UTF-8 text');
  }
}

export const secretsPut: Command = {
  name: 'secrets put',
  summary: 'Put a secret of a function, or of one of its sidecars; its value is read from standard input.',
  parameters: ['FN', '[SIDECAR/]NAME'],
  options: {},
  run: async ({ parameters: [name = '', key = ''], terminal, connect }) => {
    const { api, tenant } = connect();
    const value = secretValue(await terminal.input());
    if (value === '') throw new UsageError('there must be a value on standard input, as in: echo "$KEY" | nacelle secrets put FN NAME');
    await api.v1.functions[':name'].secrets[':key'].$put({ param: { name, key: encodeURIComponent(key) }, query: tenant, json: { value } });
    print(terminal, { function: name, secret: key }, () => `put ${key} of ${name}`);
  },
};

export const secretsLs: Command = {
  name: 'secrets ls',
  summary: 'List the names of the secrets of a function.',
  parameters: ['FN'],
  options: {},
  run: async ({ parameters: [name = ''], terminal, connect }) => {
    const { api, tenant } = connect();
    const { items } = await (await api.v1.functions[':name'].secrets.$get({ param: { name }, query: tenant })).json();
    print(terminal, { items }, () =>
      table(
        ['name', 'updated', 'used'],
        items.map((secret) => [secret.name, secret.updatedAt, secret.used ? 'yes' : 'no']),
        `no secrets of ${name}`,
      ),
    );
  },
};

export const secretsRm: Command = {
  name: 'secrets rm',
  summary: 'Remove a secret of a function, or of one of its sidecars.',
  parameters: ['FN', '[SIDECAR/]NAME'],
  options: {},
  run: async ({ parameters: [name = '', key = ''], terminal, connect }) => {
    const { api, tenant } = connect();
    await api.v1.functions[':name'].secrets[':key'].$delete({ param: { name, key: encodeURIComponent(key) }, query: tenant });
    print(terminal, { removed: key }, () => `removed ${key} of ${name}`);
  },
};
