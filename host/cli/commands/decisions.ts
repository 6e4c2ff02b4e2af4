import { type Command, UsageError } from '../command.ts';
import { durationMs } from '../duration.ts';
import { print, table } from '../terminal.ts';

type Decision = {
  at: string;
  kind: string;
  subject: string;
  choice: string;
  inputs: Record<string, unknown>;
  passedOver: { candidate: string; reason: string }[];
};

const kinds = ['place', 'load', 'refill', 'idle', 'scale-in', 'fleet', 'defer', 'attach', 'deadlock', 'control', 'object', 'rollout', 'take-back'] as const;

const isKind = (text: string): text is (typeof kinds)[number] => (kinds as readonly string[]).includes(text);

/** `10m` ago, or a time. */
const sinceOf = (text: string): string => {
  const age = durationMs(text);
  const ms = age === undefined ? Date.parse(text) : Date.now() - age;
  if (Number.isNaN(ms)) throw new UsageError(`--since must be a time or an age ("10m"), got "${text}"`);
  return new Date(ms).toISOString();
};

const inputsText = (inputs: Decision['inputs']): string =>
  Object.entries(inputs)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');

/** Choices and what they were made from. */
export const decisions: Command = {
  name: 'decisions',
  summary: 'Print the latest choices of the node: placements, loads, refills, moves, objects kept or let go, and why.',
  parameters: [],
  options: {
    kind: { type: 'string', value: 'KIND', description: `One of ${kinds.join(', ')}.` },
    subject: { type: 'string', value: 'SUBJECT', description: 'An execution, version, isolate ("isolate-7"), pool, function or object ("bucket/key").' },
    since: { type: 'string', value: 'TIME', description: 'Not older than a time or an age ("10m").' },
    limit: { type: 'string', value: 'N', description: 'How many of the latest. Default: 100.' },
  },
  run: async ({ options, terminal, connect }) => {
    const [kind, subject, since, limit] = [options.text('kind'), options.text('subject'), options.text('since'), options.text('limit')];
    if (kind !== undefined && !isKind(kind)) throw new UsageError(`--kind must be one of ${kinds.join(', ')}, got "${kind}"`);
    const { api, tenant } = connect();
    const query = {
      ...tenant,
      ...(kind === undefined ? {} : { kind }),
      ...(subject === undefined ? {} : { subject }),
      ...(since === undefined ? {} : { since: sinceOf(since) }),
      ...(limit === undefined ? {} : { limit }),
    };
    const { items } = (await (await api.v1.decisions.$get({ query })).json()) as { items: Decision[] };
    print(terminal, { items }, () =>
      table(
        ['at', 'kind', 'subject', 'choice', 'from', 'passed over'],
        items.map(({ at, kind: what, subject: of, choice, inputs, passedOver }) => [
          at,
          what,
          of,
          choice,
          inputsText(inputs),
          passedOver.map(({ candidate, reason }) => `${candidate}: ${reason}`).join('; '),
        ]),
        'no decisions',
      ),
    );
  },
};
