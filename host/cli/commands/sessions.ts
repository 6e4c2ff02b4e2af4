import { allItems } from '../client.ts';
import type { Command } from '../command.ts';
import { print, table } from '../terminal.ts';

export const sessions: Command = {
  name: 'sessions',
  summary: 'List sessions, when they end, and whose turn it is.',
  parameters: ['[FN]'],
  options: {},
  run: async ({ parameters: [of], terminal, connect }) => {
    const { api, tenant } = connect();
    const asked = { ...tenant, ...(of === undefined ? {} : { function: of }) };
    const items = await allItems(async (query) => (await api.v1.sessions.$get({ query: { ...asked, ...query } })).json());
    const rows = items.map(({ id, function: name, createdAt, expiresAt, running, waiting }) => [
      name,
      id,
      createdAt,
      expiresAt,
      running ?? '',
      String(waiting),
    ]);
    print(terminal, { items }, () => table(['function', 'session', 'began', 'ends', 'running', 'waiting'], rows, 'no sessions'));
  },
};
