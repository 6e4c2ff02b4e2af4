import { allItems } from '../client.ts';
import { type Command, UsageError } from '../command.ts';
import { print, table } from '../terminal.ts';

const UNITS_MS = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A time as RFC 3339, or a duration from now: `30m`, `12h`, `90d`. */
function expiry(text: string, nowMs: number): string {
  const [, count, unit] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  const at = unit ? nowMs + Number(count) * UNITS_MS[unit as keyof typeof UNITS_MS] : Date.parse(text);
  if (Number.isNaN(at)) throw new UsageError(`--expires must be a duration ("30m", "12h", "90d") or a time ("2030-01-31T00:00:00Z"), got "${text}"`);
  return new Date(at).toISOString();
}

export const tokensAdd: Command = {
  name: 'tokens add',
  summary: 'Make a token and print it; it cannot be shown again.',
  parameters: [],
  options: {
    scope: { type: 'string', multiple: true, value: 'SCOPE', description: '"admin", or "deploy", "invoke", "debug" or "read" with a tenant: "deploy:acme".' },
    note: { type: 'string', value: 'TEXT', description: 'What it is for.' },
    expires: { type: 'string', value: 'WHEN', description: 'After a time ("90d", "12h") or at one ("2030-01-31T00:00:00Z"). Default: never.' },
  },
  run: async ({ options, terminal, connect }) => {
    const scopes = [...options.list('scope')];
    if (scopes.length === 0) throw new UsageError('"nacelle tokens add" needs --scope');
    const expires = options.text('expires');
    const json = { scopes, note: options.text('note') ?? null, expiresAt: expires === undefined ? null : expiry(expires, Date.now()) };
    print(terminal, await (await connect().api.v1.tokens.$post({ json })).json(), ({ token }) => token);
  },
};

export const tokensLs: Command = {
  name: 'tokens ls',
  summary: 'List tokens, without what makes them valid.',
  parameters: [],
  options: {},
  run: async ({ terminal, connect }) => {
    const { api } = connect();
    const items = await allItems(async (query) => (await api.v1.tokens.$get({ query })).json());
    print(terminal, { items }, () =>
      table(
        ['id', 'scopes', 'expires', 'note'],
        items.map(({ id, scopes, expiresAt, note }) => [id, scopes.join(', '), expiresAt ?? 'never', note ?? '']),
        'no tokens',
      ),
    );
  },
};

export const tokensRm: Command = {
  name: 'tokens rm',
  summary: 'Refuse a token from now on.',
  parameters: ['ID'],
  options: {},
  run: async ({ parameters: [id = ''], terminal, connect }) => {
    await connect().api.v1.tokens[':id'].$delete({ param: { id } });
    print(terminal, { removed: id }, () => `removed ${id}`);
  },
};
