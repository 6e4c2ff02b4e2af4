import { allItems } from '../client.ts';
import { type Command, type Context, UsageError } from '../command.ts';
import { print, table } from '../terminal.ts';
import { wholeOption } from '../whole-option.ts';

type Limits = { memoryMib?: number | undefined; cpuMs?: number | undefined; timeMs?: number | undefined; prewarm?: number | undefined };
type Tenant = { name: string; state: string; routes: string[]; limits: Limits; createdAt: string };

const limitsText = ({ memoryMib, cpuMs, timeMs, prewarm }: Limits): string =>
  [
    ...(memoryMib === undefined ? [] : [`${memoryMib} MiB of memory`]),
    ...(cpuMs === undefined ? [] : [`${cpuMs} ms of CPU time`]),
    ...(timeMs === undefined ? [] : [`${timeMs} ms`]),
    ...(prewarm === undefined ? [] : [`${prewarm} instances made ready`]),
  ].join(', ');

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
        ['name', 'state', 'routes', 'limits', 'made'],
        items.map(({ name, state, routes, limits, createdAt }) => [name, state, routes.join(', '), limitsText(limits), createdAt]),
        'no tenants',
      ),
    );
  },
};

const limitKeys = { memoryMib: 'memory-mib', cpuMs: 'cpu-ms', timeMs: 'time-ms', prewarm: 'prewarm' } as const;

export const tenantsLimit: Command = {
  name: 'tenants limit',
  summary: 'Say what each function of a tenant may have at most, by itself: not what all of them have together. What is not given is as on the node.',
  parameters: ['T'],
  options: {
    'memory-mib': { type: 'string', value: 'N', description: 'Memory of one instance, in MiB.' },
    'cpu-ms': { type: 'string', value: 'N', description: 'CPU time of one execution, in milliseconds.' },
    'time-ms': { type: 'string', value: 'N', description: 'Wall-clock time of one execution, in milliseconds.' },
    'prewarm': { type: 'string', value: 'N', description: 'Instances that are made ready before anybody asks.' },
  },
  run: async (context) => {
    const {
      parameters: [tenant = ''],
      terminal,
      connect,
    } = context;
    const json: Limits = {};
    for (const [key, option] of Object.entries(limitKeys) as [keyof Limits, string][]) json[key] = wholeOption(context, option, 10, key === 'prewarm' ? 0 : 1);
    const limited: Tenant = await (await connect().api.v1.tenants[':tenant'].limits.$put({ param: { tenant }, json })).json();
    print(terminal, limited, ({ name, limits }) => `${name}: ${limitsText(limits) || 'as on the node'}`);
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

const names = (text: string | undefined): string[] => (text ?? '').split(',').filter((name) => name !== '');

export const tenantsReserve: Command = {
  name: 'tenants reserve',
  summary: 'Set isolates aside for a tenant, or give them back with --isolates 0.',
  parameters: ['T'],
  options: {
    isolates: { type: 'string', value: 'N', description: 'How many.' },
    functions: { type: 'string', value: 'F,…', description: 'Its functions whose instances are kept ready there.' },
    configuration: { type: 'string', value: 'C', description: "Of the node's isolates. Default: standard." },
    tenants: { type: 'string', value: 'T,…', description: 'Tenants that share them; each isolate binds to one of them at dispatch.' },
  },
  run: async ({ parameters: [tenant = ''], options, terminal, connect }) => {
    const isolates = options.text('isolates') ?? '';
    if (!/^\d{1,4}$/.test(isolates)) throw new UsageError(`--isolates must be a whole number, got "${isolates}"`);
    const { reservation } = connect().api.v1.tenants[':tenant'];
    if (Number(isolates) === 0) {
      await reservation.$delete({ param: { tenant } });
      print(terminal, { released: tenant }, () => `released the isolates of ${tenant}`);
      return;
    }
    const configuration = options.text('configuration') ?? 'standard';
    const json = { isolates: Number(isolates), functions: names(options.text('functions')), configuration, tenants: names(options.text('tenants')) };
    const reserved = await (await reservation.$put({ param: { tenant }, json })).json();
    print(
      terminal,
      reserved,
      ({ functions }) => `${tenant}: ${isolates} isolates (${configuration})${functions.length > 0 ? ` for ${functions.join(', ')}` : ''}`,
    );
  },
};

export const tenantsSidecars: Command = {
  name: 'tenants sidecars',
  summary: 'Give sidecars to all functions of a tenant, in place of those that they were given before, or list them.',
  parameters: ['T'],
  options: {
    use: { type: 'string', multiple: true, value: 'NAME[@V]', description: 'A sidecar, in the order of the chain.' },
    none: { type: 'boolean', description: 'Take all away.' },
  },
  run: async ({ parameters: [tenant = ''], options, terminal, connect }) => {
    const { sidecars } = connect().api.v1.tenants[':tenant'];
    const uses = options.list('use');
    const change = uses.length > 0 || options.flag('none');
    const json = { sidecars: uses.map((use) => ({ use })) };
    const now = await (await (change ? sidecars.$put({ param: { tenant }, json }) : sidecars.$get({ param: { tenant } }))).json();
    print(terminal, now, (given) => given.sidecars.map(({ use }) => String(use)).join('\n') || `no sidecars for all functions of ${tenant}`);
  },
};
