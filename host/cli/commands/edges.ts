import { allItems } from '../client.ts';
import type { Command } from '../command.ts';
import { fields, print, table } from '../terminal.ts';

type Edge = {
  id: string;
  name: string;
  product: string;
  state: string;
  connected: boolean;
  joinedAt: string;
  seenAt: string;
  revision: number;
  behind: number;
  labels: Record<string, string>;
  refused: string | null;
  awaited: { tenant: string; function: string; version: number }[];
  takenBack: { tenant: string; function: string; version: number; requests: number; failures: number; at: string }[];
};

const labelsText = (labels: Edge['labels']): string =>
  Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ') || '-';

const standing = ({ connected, refused, behind, revision, awaited }: Edge): string => {
  if (!connected) return refused === null ? 'away' : 'refused';
  if (revision === 0) return 'joining';
  if (behind > 0) return `${behind} behind`;
  return awaited.length > 0 ? `fetching ${awaited.length}` : 'up to date';
};

export const edgesLs: Command = {
  name: 'edges ls',
  summary: 'List the edges that serve what is deployed here.',
  parameters: [],
  options: {},
  run: async ({ terminal, connect }) => {
    const { api } = connect();
    const items: Edge[] = await allItems(async (query) => (await api.v1.edges.$get({ query })).json());
    print(terminal, { items }, () =>
      table(
        ['id', 'name', 'labels', 'state', 'standing', 'took back', 'revision', 'version', 'last heard of'],
        items.map((edge) => [
          edge.id,
          edge.name,
          labelsText(edge.labels),
          edge.state,
          standing(edge),
          edge.takenBack.map(({ function: name, version }) => `${name}@${version}`).join(' ') || '-',
          String(edge.revision),
          edge.product,
          edge.seenAt,
        ]),
        'no edges: "nacelle serve --origin URL --token TOKEN" elsewhere makes one',
      ),
    );
  },
};

export const edgesShow: Command = {
  name: 'edges show',
  summary: 'Show an edge.',
  parameters: ['ID'],
  options: {},
  run: async ({ terminal, connect, parameters: [id = ''] }) => {
    const edge: Edge = await (await connect().api.v1.edges[':id'].$get({ param: { id } })).json();
    print(terminal, edge, () =>
      fields([
        ['id', edge.id],
        ['name', edge.name],
        ['labels', labelsText(edge.labels)],
        ['state', edge.state],
        ['standing', standing(edge)],
        ['revision', String(edge.revision)],
        ['version', edge.product],
        ['joined', edge.joinedAt],
        ['last heard of', edge.seenAt],
        ...(edge.refused === null ? [] : [['refused', edge.refused] as const]),
        ...edge.awaited.map(({ tenant, function: name, version }) => ['fetching', `${tenant}/${name}@${version}`] as const),
        ...edge.takenBack.map(
          ({ tenant, function: name, version, requests, failures, at }) =>
            ['took back', `${tenant}/${name}@${version}: ${failures} of ${requests} requests failed, ${at}`] as const,
        ),
      ]),
    );
  },
};

export const edgesDrain: Command = {
  name: 'edges drain',
  summary: 'Let an edge say that it is not ready, so that requests go elsewhere; it serves those that still come.',
  parameters: ['ID'],
  options: { off: { type: 'boolean', description: 'Take it back.' } },
  run: async ({ terminal, connect, options, parameters: [id = ''] }) => {
    const json = { draining: !options.flag('off') };
    const edge: Edge = await (await connect().api.v1.edges[':id'].drain.$post({ param: { id }, json })).json();
    print(terminal, edge, ({ name, state }) => `${name}: ${state}`);
  },
};

export const edgesRm: Command = {
  name: 'edges rm',
  summary: 'Refuse an edge from now on; one that was removed before is forgotten. It goes on with what it has.',
  parameters: ['ID'],
  options: {},
  run: async ({ terminal, connect, parameters: [id = ''] }) => {
    await connect().api.v1.edges[':id'].$delete({ param: { id } });
    print(terminal, { removed: id }, () => `removed ${id}`);
  },
};
