import type { Command } from '../command.ts';
import { print, table } from '../terminal.ts';

const usersText = (users: readonly { execution: string; mode: string }[]): string => users.map(({ execution, mode }) => `${execution} (${mode})`).join(', ');

export const resources: Command = {
  name: 'resources',
  summary: 'List what executions share now: who has it attached, who holds a lock and who waits for it.',
  parameters: [],
  options: {},
  run: async ({ terminal, connect }) => {
    const { api, tenant } = connect();
    const { items } = await (await api.v1.resources.$get({ query: tenant })).json();
    const rows = items.map(({ resource, attachments, holders, waiters, bytes, stored }) => [
      resource,
      String(attachments.length),
      usersText(holders),
      usersText(waiters),
      bytes === undefined ? '' : `${bytes}${stored ? '' : ', not all stored'}`,
    ]);
    print(terminal, { items }, () => table(['resource', 'attached', 'held by', 'waited for by', 'bytes'], rows, 'nothing is shared now'));
  },
};

export const stateRevoke: Command = {
  name: 'state revoke',
  summary: 'Take a shared resource away from the executions that have it; its data stays.',
  parameters: ['RESOURCE'],
  options: { execution: { type: 'string', value: 'ID', description: 'Only from this execution.' } },
  run: async ({ parameters: [resource = ''], options, terminal, connect }) => {
    const { api, tenant } = connect();
    const execution = options.text('execution');
    const { revoked } = await (
      await api.v1.resources.revoke.$post({ query: tenant, json: { resource, ...(execution === undefined ? {} : { execution }) } })
    ).json();
    print(terminal, { revoked }, () => (revoked.length === 0 ? `no execution has ${resource}` : `revoked ${resource} of ${revoked.join(', ')}`));
  },
};
