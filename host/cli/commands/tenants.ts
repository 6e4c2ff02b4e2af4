import { allItems } from '../client.ts';
import type { Command, Context } from '../command.ts';
import { print, table } from '../terminal.ts';

type Tenant = { name: string; state: string; routes: string[]; createdAt: string };

const printTenant = ({ terminal }: Context, tenant: Tenant): void => print(terminal, tenant, ({ name, state }) => `${name}: ${state}`);

export const tenantsAdd: Command = {
  name: 'tenants add',
  summary: 'Make a tenant, or give more routes to one.',
  parameters: ['T'],
  options: { route: { type: 'string', multiple: true, value: 'ROUTE', description: 'A host or path that its functions may use beside their default ones.' } },
  run: async (context) => {
    const [name = ''] = context.parameters;
    const json = { name, routes: [...context.options.list('route')] };
    printTenant(context, await (await context.connect().api.v1.tenants.$post({ json })).json());
  },
};

export const tenantsLs: Command = {
  name: 'tenants ls',
  summary: 'List tenants.',
  parameters: [],
  options: {},
  run: async ({ terminal, connect }) => {
    const { api } = connect();
    const items = await allItems(async (query) => (await api.v1.tenants.$get({ query })).json());
    print(terminal, { items }, () =>
      table(
        ['name', 'state', 'routes', 'made'],
        items.map(({ name, state, routes, createdAt }) => [name, state, routes.join(', '), createdAt]),
        'no tenants',
      ),
    );
  },
};

export const tenantsSuspend: Command = {
  name: 'tenants suspend',
  summary: 'Make the functions of a tenant answer tenant-suspended.',
  parameters: ['T'],
  options: {},
  run: async (context) => {
    const [tenant = ''] = context.parameters;
    printTenant(context, await (await context.connect().api.v1.tenants[':tenant'].suspend.$post({ param: { tenant } })).json());
  },
};

export const tenantsResume: Command = {
  name: 'tenants resume',
  summary: 'Let the functions of a suspended tenant answer again.',
  parameters: ['T'],
  options: {},
  run: async (context) => {
    const [tenant = ''] = context.parameters;
    printTenant(context, await (await context.connect().api.v1.tenants[':tenant'].resume.$post({ param: { tenant } })).json());
  },
};

export const tenantsRm: Command = {
  name: 'tenants rm',
  summary: 'Remove a tenant with all its data.',
  parameters: ['T'],
  options: {},
  run: async ({ parameters: [tenant = ''], terminal, connect }) => {
    await connect().api.v1.tenants[':tenant'].$delete({ param: { tenant } });
    print(terminal, { removed: tenant }, () => `removed ${tenant}`);
  },
};
