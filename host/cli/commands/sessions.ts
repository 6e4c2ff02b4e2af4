import { allItems } from '../client.ts';
import type { Command } from '../command.ts';
import { print, table } from '../terminal.ts';

export const sessions: Command = {
  name: 'sessions',
  summary: 'List sessions, when they end, and whose turn it is.',
  parameters: ['[FN]'],
  options: { name: { type: 'string', value: 'NAME', description: 'Only those of this name, which several functions may have.' } },
  run: async ({ parameters: [of], options, terminal, connect }) => {
    const { api, tenant } = connect();
    const wanted = options.text('name');
    const asked = { ...tenant, ...(of === undefined ? {} : { function: of }), ...(wanted === undefined ? {} : { name: wanted }) };
    const items = await allItems(async (query) => (await api.v1.sessions.$get({ query: { ...asked, ...query } })).json());
    const rows = items.map(({ id, function: its, name, createdAt, expiresAt, running, waiting }) => [
      its ?? `~${name}`,
      id,
      createdAt,
      expiresAt,
      running ?? '',
      String(waiting),
    ]);
    print(terminal, { items }, () => table(['function', 'session', 'began', 'ends', 'running', 'waiting'], rows, 'no sessions'));
  },
};
