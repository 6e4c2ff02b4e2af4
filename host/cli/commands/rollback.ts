import type { Command } from '../command.ts';
import { print } from '../terminal.ts';

export const rollback: Command = {
  name: 'rollback',
  summary: 'Set live what was live before.',
  parameters: ['FN'],
  options: {},
  run: async ({ parameters: [name = ''], terminal, connect }) => {
    const { api, tenant } = connect();
    const rolledBack = await (await api.v1.functions[':name'].rollback.$post({ param: { name }, query: tenant })).json();
    print(terminal, rolledBack, ({ live }) => `${name}: version ${live.map(({ version }) => version).join(', ')} is live`);
  },
};
