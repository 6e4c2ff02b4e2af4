import { setTimeout as sleep } from 'node:timers/promises';
import { Problem } from '../../base/errors.ts';
import { attemptText } from '../attempts.ts';
import { allItems, type ControlClient, checked } from '../client.ts';
import { type Command, type Context, UsageError } from '../command.ts';
import { dataOf } from '../data.ts';
import { durationMs } from '../duration.ts';
import { endAs, type InTurn, inTurn, problemsIn, removeInTurn, told, valuesIn } from '../in-turn.ts';
import { payloadAt, payloadOption, printsPayload, shownPayload } from '../payload.ts';
import { fields, print, table } from '../terminal.ts';
import { wholeOption } from '../whole-option.ts';

const filterOptions = {
  queue: { type: 'string', value: 'NAME', description: 'Only those in this queue.' },
  fn: { type: 'string', value: 'FN', description: 'Only those of this function.' },
  code: { type: 'string', value: 'CODE', description: 'Only those that failed with this error.' },
  before: { type: 'string', value: 'TIME', description: 'Only those that failed before ("2030-01-31T00:00:00Z").' },
} as const;

const filterOf = ({ options }: Context) => {
  const [queue, fn, code, before] = (['queue', 'fn', 'code', 'before'] as const).map((key) => options.text(key));
  return {
    ...(queue === undefined ? {} : { queue }),
    ...(fn === undefined ? {} : { function: fn }),
    ...(code === undefined ? {} : { code }),
    ...(before === undefined ? {} : { before }),
  };
};

const find = (context: Context, { api, tenant }: ControlClient) => {
  const filter = filterOf(context);
  return allItems(async (query) => (await api.v1['dead-letters'].$get({ query: { ...tenant, ...filter, ...query } })).json());
};

export const deadLettersLs: Command = {
  name: 'dead-letters ls',
  summary: 'List what failed for good.',
  parameters: [],
  options: filterOptions,
  run: async (context) => {
    const items = await find(context, context.connect());
    const rows = items.map((item) => [
      item.id,
      item.queue,
      `${item.function}@${item.version}`,
      item.errorCode,
      String(item.attempts),
      item.failedAt,
      String(item.bytes),
    ]);
    print(context.terminal, { items }, () => table(['id', 'queue', 'function', 'error', 'attempts', 'failed', 'bytes'], rows, 'no dead letters'));
  },
};

type QueueView = { name: string; items: number; bytes: number; nearlyFull: boolean; keepMs: number; itemsMax: number; bytesMax: number };

const printQueues = ({ terminal }: Context, json: object, items: readonly QueueView[]): void =>
  print(terminal, json, () =>
    table(
      ['queue', 'items', 'of', 'bytes', 'of', 'kept', ''],
      items.map(({ name, items: held, itemsMax, bytes, bytesMax, keepMs, nearlyFull }) => [
        name,
        String(held),
        String(itemsMax),
        String(bytes),
        String(bytesMax),
        keepMs % 86_400_000 === 0 ? `${keepMs / 86_400_000} d` : `${keepMs / 1000} s`,
        nearlyFull ? 'nearly full' : '',
      ]),
      'no queues of dead letters',
    ),
  );

export const deadLettersQueues: Command = {
  name: 'dead-letters queues',
  summary: 'List the queues of dead letters, with what they hold and may hold.',
  parameters: [],
  options: {},
  run: async (context) => {
    const { api, tenant } = context.connect();
    const { items } = await (await api.v1['dead-letter-queues'].$get({ query: tenant })).json();
    printQueues(context, { items }, items);
  },
};

export const deadLettersLimit: Command = {
  name: 'dead-letters limit',
  summary: 'Say what a queue of dead letters may hold, and for how long. What is not given is as on the node.',
  parameters: ['QUEUE'],
  options: {
    keep: { type: 'string', value: 'DURATION', description: 'How long each is kept ("7d").' },
    items: { type: 'string', value: 'N', description: 'At most so many.' },
    bytes: { type: 'string', value: 'N', description: 'Of at most so many bytes in all.' },
  },
  run: async (context) => {
    const [queue = ''] = context.parameters;
    const { api, tenant } = context.connect();
    const keep = context.options.text('keep');
    const keepMs = keep === undefined ? undefined : durationMs(keep);
    if (keep !== undefined && keepMs === undefined) throw new UsageError(`--keep must be a duration like 12h or 7d, got "${keep}"`);
    const [itemsMax, bytesMax] = [wholeOption(context, 'items', 15), wholeOption(context, 'bytes', 15)];
    const json = {
      ...(keepMs === undefined ? {} : { keepMs }),
      ...(itemsMax === undefined ? {} : { itemsMax }),
      ...(bytesMax === undefined ? {} : { bytesMax }),
    };
    const view = await (await api.v1['dead-letter-queues'][':queue'].$put({ param: { queue }, query: tenant, json })).json();
    printQueues(context, view, [view]);
  },
};

export const deadLettersShow: Command = {
  name: 'dead-letters show',
  summary: 'Show one: its input, and each attempt with its error and log.',
  parameters: ['ID'],
  options: payloadOption,
  run: async (context) => {
    const { parameters, terminal, connect } = context;
    const [id = ''] = parameters;
    const client = connect();
    const { api, tenant } = client;
    const url = api.v1['dead-letters'][':id'].payload.$url({ param: { id }, query: tenant });
    if (await printsPayload(context, client, url)) return;
    const item = await (await api.v1['dead-letters'][':id'].$get({ param: { id }, query: tenant })).json();
    const bytes = await payloadAt(client, url);
    print(terminal, { ...item, payloadBase64: Buffer.from(bytes).toString('base64') }, () =>
      [
        fields([
          ['id', item.id],
          ['queue', item.queue],
          ['function', `${item.function}@${item.version}`],
          ['error', `${item.errorCode}: ${item.errorMessage}`],
          ['arrived', item.arrivedAt],
          ['failed', item.failedAt],
          ...(item.orderingKey === undefined ? [] : [['key', item.orderingKey] as const]),
        ]),
        `\n${item.method} ${item.path}`,
        ...item.headers.map(([name, value]) => `${name}: ${value}`),
        `\n${shownPayload(bytes, item.contentType)}`,
        ...item.tries.map((attempt) => `\n${attemptText(attempt)}`),
      ].join('\n'),
    );
  },
};

type Target = { function?: string; version?: number };

const targetOf = (to: string | undefined): Target => {
  const [, name, version] = /^([^@]+)?(?:@(\d+))?$/.exec(to ?? '') ?? [];
  if (to !== undefined && name === undefined && version === undefined) throw new UsageError(`--to must be FN, FN@VERSION or @VERSION, got "${to}"`);
  return { ...(name === undefined ? {} : { function: name }), ...(version === undefined ? {} : { version: Number(version) }) };
};

const isFiltered = (context: Context): boolean => Object.keys(filterOf(context)).length > 0 || context.options.flag('all');

type Chosen = { ids: string[] /** By itself: a problem with it is that of the command. */; alone: boolean };

const chosen = async (context: Context, client: ControlClient): Promise<Chosen> => {
  const [id] = context.parameters;
  if (id !== undefined && isFiltered(context)) throw new UsageError('give an id or a filter, not both');
  if (id !== undefined) return { ids: [id], alone: true };
  if (!isFiltered(context)) throw new UsageError('give an id, a filter or --all');
  return { ids: (await find(context, client)).map((item) => item.id), alone: false };
};

type Redriven = { id: string; function: string; version: number; dryRun: boolean; succeeded?: boolean | undefined; code?: string | undefined };

const outcomeOf = ({ dryRun, succeeded, code }: Redriven): string => (dryRun ? 'would be run' : succeeded ? 'went well' : `failed: ${code}`);

const printRedriven = ({ terminal }: Context, { outcomes }: InTurn<Redriven>): void => {
  const items = outcomes.map((outcome) => ('value' in outcome ? outcome.value : { id: outcome.id, notRun: told(outcome.problem) }));
  const rows = outcomes.map((outcome) =>
    'value' in outcome
      ? [outcome.id, `${outcome.value.function}@${outcome.value.version}`, outcomeOf(outcome.value)]
      : [outcome.id, '', `not run: ${outcome.problem.code}: ${outcome.problem.message}`],
  );
  print(terminal, { items }, () => table(['id', 'function', 'outcome'], rows, 'no dead letters'));
};

const redriveProblem = (ran: InTurn<Redriven>): Problem | undefined => {
  const failed = valuesIn(ran).filter(({ value }) => value.succeeded === false).length;
  const notRun = problemsIn(ran);
  const [first] = notRun;
  const all = ran.outcomes.length;
  if (failed === 0) return first && new Problem(first.problem.code, `${notRun.length} of ${all} could not be run, and are still dead letters`);
  const besides = first ? `; ${notRun.length} could not be run` : '';
  return new Problem('event-failed', `${failed} of ${all} failed once more, and are still dead letters${besides}`);
};

type RedriveTo = Target & { contentType?: string };

const redriven = async ({ api, tenant }: ControlClient, id: string, json: RedriveTo & { dryRun: boolean }): Promise<Redriven> =>
  (await api.v1['dead-letters'][':id'].redrive.$post({ param: { id }, query: tenant, json })).json();

const redrivenWith = async ({ api, tenant, send }: ControlClient, id: string, to: RedriveTo, data: string | Uint8Array): Promise<Redriven> => {
  const url = api.v1['dead-letters'][':id'].redrive.payload.$url({ param: { id }, query: { ...tenant, ...to } as never });
  const headers = { 'content-type': 'application/octet-stream' };
  return (await (await checked(await send(url, { method: 'POST', headers, body: data as RequestInit['body'] & {} }))).json()) as Redriven;
};

export const deadLettersRedrive: Command = {
  name: 'dead-letters redrive',
  summary: 'Run one once more, or all that a filter finds. What goes well is gone from the dead letters.',
  parameters: ['[ID]'],
  options: {
    ...filterOptions,
    'all': { type: 'boolean', description: 'All of the tenant.' },
    'to': { type: 'string', value: 'FN[@V]', description: 'Another function than the one that failed, or another version than the live one.' },
    'data': { type: 'string', value: 'TEXT|@FILE', description: 'Another payload. (The data directory of a node is named by NACELLE_DATA here.)' },
    'content-type': { type: 'string', value: 'TYPE', description: 'Another content type of the payload. Default: as it came.' },
    'rate': { type: 'string', value: 'N', description: 'At most so many a second. Default: 10.' },
    'dry-run': { type: 'boolean', description: 'Only say what would be run.' },
  },
  run: async (context) => {
    const { options, signal } = context;
    const rate = Number(options.text('rate') ?? '10');
    if (!(rate > 0 && rate <= 1000)) throw new UsageError(`--rate must be above 0 and at most 1000, got "${options.text('rate')}"`);
    const client = context.connect();
    const data = dataOf(context);
    const contentType = options.text('content-type');
    const to = { ...targetOf(options.text('to')), ...(contentType === undefined ? {} : { contentType }) };
    const dryRun = options.flag('dry-run');
    const { ids, alone } = await chosen(context, client);
    const redrive = (id: string): Promise<Redriven> =>
      data === undefined || dryRun ? redriven(client, id, { ...to, dryRun }) : redrivenWith(client, id, to, data);
    const ran = await inTurn(context, ids, redrive, async () => dryRun || sleep(1000 / rate, undefined, { signal }));
    const [single] = problemsIn(ran);
    if (alone && single) throw single.problem;
    if (ran.outcomes.length > 0 || ran.stopped === undefined) printRedriven(context, ran);
    endAs(ran, redriveProblem(ran));
  },
};

export const deadLettersDrop: Command = {
  name: 'dead-letters drop',
  summary: 'Drop one for good, or all that a filter finds.',
  parameters: ['[ID]'],
  options: {
    ...filterOptions,
    all: { type: 'boolean', description: 'All of the tenant.' },
    yes: { type: 'boolean', description: 'Do it: there is no way back.' },
  },
  run: async (context) => {
    const client = context.connect();
    const { ids, alone } = await chosen(context, client);
    if (!context.options.flag('yes')) throw new UsageError(`this would drop ${ids.length} dead letters for good: say --yes`);
    await removeInTurn(context, ids, { alone, did: 'dropped' }, (id) => client.api.v1['dead-letters'][':id'].$delete({ param: { id }, query: client.tenant }));
  },
};
