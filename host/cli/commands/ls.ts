import { allItems } from '../client.ts';
import type { Command } from '../command.ts';
import { print, table } from '../terminal.ts';

export const ls: Command = {
  name: 'ls',
  summary: 'List functions.',
  parameters: [],
  options: {},
  run: async ({ terminal, connect }) => {
    const { api, tenant } = connect();
    const items = await allItems(async (page) => (await api.v1.functions.$get({ query: { ...tenant, ...page } })).json());
    print(terminal, { items }, () =>
      table(
        ['name', 'live', 'url', 'updated'],
        items.map(({ name, live, urls, updatedAt }) => [name, live.map(({ version }) => String(version)).join(', '), urls[0] ?? '', updatedAt]),
        'no functions yet: "nacelle deploy" makes one',
      ),
    );
  },
};
