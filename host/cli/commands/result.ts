import { Problem } from '../../base/errors.ts';
import { checked } from '../client.ts';
import type { Command } from '../command.ts';

export const result: Command = {
  name: 'result',
  summary: 'Print what an execution answered that its caller did not wait for.',
  parameters: ['EXECUTION'],
  options: {},
  run: async ({ parameters: [id = ''], terminal, connect }) => {
    const { api, tenant, send } = connect();
    const response = await checked(await send(api.v1.executions[':id'].result.$url({ param: { id }, query: tenant }), { method: 'GET' }));
    if (response.status === 202) {
      const { state } = (await response.json()) as { state: string };
      throw new Problem('unavailable', `there is no result yet: execution ${id} is ${state}`);
    }
    for await (const chunk of response.body ?? []) terminal.out(chunk);
  },
};
