import { randomUUID } from 'node:crypto';
import { attemptText, putOffText } from '../attempts.ts';
import { allItems, type ControlClient, checked } from '../client.ts';
import { type Command, type Context, UsageError } from '../command.ts';
import { dataOf } from '../data.ts';
import { removeInTurn } from '../in-turn.ts';
import type { Options } from '../options.ts';
import { payloadAt, payloadOption, printsPayload, shownPayload } from '../payload.ts';
import { fields, print, table } from '../terminal.ts';

const headersOf = ({ options }: Context, topic: string | undefined): Record<string, string> => {
  const type = options.text('type') ?? topic ?? 'nacelle.sent';
  const subject = options.text('subject');
  const key = options.text('key');
  return {
    'ce-specversion': '1.0',
    'ce-id': options.text('id') ?? randomUUID(),
    'ce-source': options.text('source') ?? '/nacelle/cli',
    'ce-type': type,
    ...(subject === undefined ? {} : { 'ce-subject': encodeURIComponent(subject) }),
    ...(key === undefined ? {} : { 'ce-partitionkey': encodeURIComponent(key) }),
    'content-type': options.text('content-type') ?? 'application/json',
  };
};

export const eventsSend: Command = {
  name: 'events send',
  summary: 'Send an event to a function, or to all that subscribe to a topic.',
  parameters: ['[FN]'],
  options: {
    topic: { type: 'string', value: 'TOPIC', description: 'The topic, in place of a function.' },
    data: { type: 'string', value: 'TEXT|@FILE', description: 'Its data. (The data directory of a node is named by NACELLE_DATA here.)' },
    'content-type': { type: 'string', value: 'TYPE', description: 'Of the data. Default: application/json.' },
    'id': { type: 'string', value: 'ID', description: 'Its id: the same id is taken once. Default: a new one.' },
    'type': { type: 'string', value: 'TYPE', description: 'Its type. Default: the topic, or nacelle.sent.' },
    'source': { type: 'string', value: 'URI', description: 'Where it comes from. Default: /nacelle/cli.' },
    'subject': { type: 'string', value: 'TEXT', description: 'What it is about.' },
    'key': { type: 'string', value: 'KEY', description: 'Events with the same key are delivered one after the other.' },
    'at': { type: 'string', value: 'origin', description: 'At an edge: deliver it at the origin.' },
    'delay-ms': { type: 'string', value: 'N', description: 'Wait before the first delivery, in milliseconds.' },
  },
  run: async (context) => {
    const { parameters, options, terminal, connect } = context;
    const [name] = parameters;
    const topic = options.text('topic');
    if ((name === undefined) === (topic === undefined)) throw new UsageError('"nacelle events send" needs a function or --topic, not both');
    const { api, tenant, send } = connect();
    const delay = options.text('delay-ms');
    const at = options.text('at');
    const to = {
      ...tenant,
      ...(name === undefined ? {} : { function: name }),
      ...(topic === undefined ? {} : { topic }),
      ...(delay === undefined ? {} : { delayMs: delay }),
      ...(at === undefined ? {} : { at }),
    };
    const body = dataOf(context);
    const response = await send(api.v1.events.$url({ query: to as never }), {
      method: 'POST',
      headers: headersOf(context, topic),
      ...(body === undefined ? {} : { body: body as RequestInit['body'] & {} }),
    });
    const { items } = (await (await checked(response)).json()) as { items: { id: string; function: string; duplicate: boolean }[] };
    const rows = items.map(({ id, function: target, duplicate }) => [id, target, duplicate ? 'was sent before' : 'taken']);
    print(terminal, { items }, () => table(['execution', 'function', ''], rows, 'nobody subscribes to it'));
  },
};

type At = { at?: 'origin' };

const atOf = (options: Options): At => {
  const place = options.text('at');
  return place === undefined ? {} : { at: place as 'origin' };
};

const waiting = ({ api, tenant }: Pick<ControlClient, 'api' | 'tenant'>, name: string, at: At) =>
  allItems(async (query) => (await api.v1.events.$get({ query: { ...tenant, ...query, function: name, ...at } })).json());

export const eventsLs: Command = {
  name: 'events ls',
  summary: 'List the events of a function that have not ended, or how many there are of each.',
  parameters: ['[FN]'],
  options: { at: { type: 'string', value: 'origin', description: 'Those of the function that an edge keeps for its origin.' } },
  run: async ({ parameters: [name], options, terminal, connect }) => {
    const { api, tenant } = connect();
    if (name === undefined) {
      const { items } = await (await api.v1['event-queues'].$get({ query: tenant })).json();
      const rows = items.map((queue) => [
        queue.at === undefined ? queue.function : `${queue.function} at the ${queue.at}`,
        `${queue.messages}${queue.exact ? '' : ' or more'}`,
        String(queue.leased),
        queue.oldestDueAt ?? '',
      ]);
      print(terminal, { items }, () => table(['function', 'events', 'being delivered', 'oldest due'], rows, 'no events wait'));
      return;
    }
    const at = atOf(options);
    const items = await waiting({ api, tenant }, name, at);
    const rows = items.map(({ id, trigger, state, attempts, dueAt, bytes }) => [id, trigger, state, String(attempts), dueAt, String(bytes)]);
    print(terminal, { items }, () => table(['id', 'trigger', 'state', 'attempts', 'due', 'bytes'], rows, 'no events wait'));
  },
};

type Due = { state: string; dueAt: string; putOff?: { code: string; message: string; times: number; since: string } | undefined };

/** When it is run, and why not yet. */
const dueText = ({ state, dueAt, putOff }: Due): (readonly [string, string])[] => [
  [state === 'waiting' ? 'next at' : 'was due', dueAt],
  ...(putOff ? [['put off', putOffText(putOff)] as const] : []),
];

export const eventsShow: Command = {
  name: 'events show',
  summary: 'Show an event that has not ended, with its payload, its attempts and the verdicts on them.',
  parameters: ['ID'],
  options: payloadOption,
  run: async (context) => {
    const { parameters, terminal, connect } = context;
    const [id = ''] = parameters;
    const client = connect();
    const { api, tenant } = client;
    const url = api.v1.events[':id'].payload.$url({ param: { id }, query: tenant });
    if (await printsPayload(context, client, url)) return;
    const event = await (await api.v1.events[':id'].$get({ param: { id }, query: tenant })).json();
    const bytes = await payloadAt(client, url);
    print(terminal, { ...event, payloadBase64: Buffer.from(bytes).toString('base64') }, () =>
      [
        fields([
          ['id', event.id],
          ['function', event.function],
          ['trigger', event.trigger],
          ['state', event.state],
          ['arrived', event.arrivedAt],
          ...dueText(event),
          ['bytes', String(event.bytes)],
          ...(event.orderingKey === undefined ? [] : [['key', event.orderingKey] as const]),
        ]),
        `\n${event.method} ${event.path}`,
        ...event.headers.map(([name, value]) => `${name}: ${value}`),
        ...(bytes.length > 0 ? [`\n${shownPayload(bytes, event.contentType)}`] : []),
        ...event.tries.map((attempt) => `\n${attemptText(attempt)}`),
      ].join('\n'),
    );
  },
};

export const eventsRm: Command = {
  name: 'events rm',
  summary: 'Remove an event that waits, or all of a function: it is not delivered, and nothing of it is kept.',
  parameters: ['[ID]'],
  options: {
    fn: { type: 'string', value: 'FN', description: 'All that wait for this function, but those that are being delivered.' },
    at: { type: 'string', value: 'origin', description: 'Of those, the ones that an edge keeps for its origin.' },
    yes: { type: 'boolean', description: 'Do it: there is no way back.' },
  },
  run: async (context) => {
    const { parameters, options, connect } = context;
    const [id] = parameters;
    const name = options.text('fn');
    if ((id === undefined) === (name === undefined)) throw new UsageError('"nacelle events rm" needs an id or --fn, not both');
    const client = connect();
    const ids =
      id !== undefined ? [id] : (await waiting(client, name as string, atOf(options))).filter(({ state }) => state === 'waiting').map((one) => one.id);
    if (!options.flag('yes')) throw new UsageError(`this would remove ${ids.length} ${ids.length === 1 ? 'event' : 'events'} for good: say --yes`);
    await removeInTurn(context, ids, { alone: id !== undefined, did: 'removed' }, (one) =>
      client.api.v1.events[':id'].$delete({ param: { id: one }, query: client.tenant }),
    );
  },
};
