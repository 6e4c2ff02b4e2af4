import type { Command } from '../command.ts';
import { print } from '../terminal.ts';

export const rm: Command = {
  name: 'rm',
  summary: 'Remove a function with its versions, secrets and log.',
  parameters: ['FN'],
  options: {},
  run: async ({ parameters: [name = ''], terminal, connect }) => {
    const { api, tenant } = connect();
    await api.v1.functions[':name'].$delete({ param: { name }, query: tenant });
    print(terminal, { removed: name }, () => `removed ${name}`);
  },
};
