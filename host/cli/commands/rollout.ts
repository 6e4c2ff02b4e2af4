import type { Command, Context } from '../command.ts';
import { fields, print, table } from '../terminal.ts';

type Stage = { canary: Record<string, string[]> } | { share: number };
type Rollout = {
  function: string;
  version: number;
  previous: number;
  state: string;
  stage: number;
  stages: Stage[];
  startedAt: string;
  endedAt: string | null;
  why: string | null;
  waiting: string | null;
  requests: number;
  failures: number;
  p99Ms: number | null;
  edges: {
    name: string;
    connected: boolean;
    chosen: boolean;
    version: number | null;
    requests: number;
    failures: number;
    p99Ms: number | null;
    takenBack: { requests: number; failures: number } | null;
  }[];
};

const stageText = (stage: Stage): string =>
  'share' in stage
    ? `${Math.round(stage.share * 1000) / 10} % of the edges`
    : `canary ${Object.entries(stage.canary)
        .map(([key, values]) => `${key}=${values.join('|')}`)
        .join(' ')}`;

const stagesText = ({ stages, stage, state }: Rollout): string =>
  [...stages.map(stageText), 'all'].map((text, at) => (at === stage && state === 'running' ? `[${text}]` : text)).join(' → ');

const milliseconds = (ms: number | null): string => (ms === null ? '-' : `${ms} ms`);

const standing = ({ takenBack, chosen, connected }: Rollout['edges'][number]): string =>
  takenBack ? `took it back: ${takenBack.failures} of ${takenBack.requests} failed` : `${chosen ? 'in the stage' : ''}${connected ? '' : ' (away)'}`.trim();

const shown = (rollout: Rollout): string => {
  const { function: name, version, previous, state, why, waiting, requests, failures, p99Ms, edges } = rollout;
  const head = fields([
    ['rollout', `${name}: version ${version}, after ${previous}`],
    ['state', why === null ? state : `${state}: ${why}`],
    ['stages', stagesText(rollout)],
    ...(waiting === null ? [] : [['waiting', waiting] as const]),
    ['requests', `${requests}, ${failures} failed, 99 % within ${milliseconds(p99Ms)}`],
    ['started', rollout.startedAt],
    ...(rollout.endedAt === null ? [] : [['ended', rollout.endedAt] as const]),
  ]);
  if (state !== 'running') return head;
  const rows = edges.map((edge) => [
    edge.name,
    edge.version === null ? '-' : String(edge.version),
    standing(edge),
    String(edge.requests),
    String(edge.failures),
    milliseconds(edge.p99Ms),
  ]);
  return `${head}\n\n${table(['edge', 'serves', 'standing', 'requests', 'failed', '99 %'], rows, 'no edges')}`;
};

const tellRollout = async ({ terminal }: Context, answer: Promise<{ json(): Promise<unknown> }>): Promise<void> => {
  const rollout = (await (await answer).json()) as Rollout;
  print(terminal, rollout, shown);
};

export const rolloutShow: Command = {
  name: 'rollout show',
  summary: 'Show the last rollout of a function: its stage, what it waits for, and how the version fares on each edge.',
  parameters: ['FN'],
  options: {},
  run: async (context) => {
    const { api, tenant } = context.connect();
    await tellRollout(context, api.v1.functions[':name'].rollout.$get({ param: { name: context.parameters[0] ?? '' }, query: tenant }));
  },
};

export const rolloutAdvance: Command = {
  name: 'rollout advance',
  summary: 'Begin the next stage of a rollout now, whatever its gates say; after the last, the version is live everywhere.',
  parameters: ['FN'],
  options: {},
  run: async (context) => {
    const { api, tenant } = context.connect();
    await tellRollout(context, api.v1.functions[':name'].rollout.advance.$post({ param: { name: context.parameters[0] ?? '' }, query: tenant }));
  },
};

export const rolloutAbort: Command = {
  name: 'rollout abort',
  summary: 'End a rollout: all edges serve what was live before.',
  parameters: ['FN'],
  options: {},
  run: async (context) => {
    const { api, tenant } = context.connect();
    await tellRollout(context, api.v1.functions[':name'].rollout.abort.$post({ param: { name: context.parameters[0] ?? '' }, query: tenant }));
  },
};
