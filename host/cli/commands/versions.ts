import { allItems } from '../client.ts';
import type { Command } from '../command.ts';
import { print, table } from '../terminal.ts';

export const versions: Command = {
  name: 'versions',
  summary: 'List the versions of a function, the oldest first.',
  parameters: ['FN'],
  options: {},
  run: async ({ parameters: [name = ''], terminal, connect }) => {
    const { api, tenant } = connect();
    const items = await allItems(async (page) => (await api.v1.functions[':name'].versions.$get({ param: { name }, query: { ...tenant, ...page } })).json());
    print(terminal, { items }, () =>
      table(
        ['version', 'live', 'digest', 'deployed', 'taken back by'],
        items.map(({ version, weight, staged, takenBack, digest, createdAt }) => [
          String(version),
          weight > 0 ? `${weight} %` : staged ? 'in rollout' : '',
          digest,
          createdAt,
          takenBack.join(', ') || '-',
        ]),
        'no versions',
      ),
    );
  },
};
