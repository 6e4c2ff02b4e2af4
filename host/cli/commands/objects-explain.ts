import { checked } from '../client.ts';
import type { Command } from '../command.ts';
import { fields, print, table } from '../terminal.ts';
import { targetOf, urlOf } from './objects.ts';

type Explained = {
  stored: boolean;
  bytes: number;
  storedBytes: number;
  nextRequestMs: number | null;
  costStore: number;
  costGenerate: number | null;
  basis: string;
  measured: { runs: number; cpuMs: number; wallMs: number; memoryBytes: number } | null;
  manifest: { function: string; version: number; sources: { bucket: string; key: string }[]; distrusted?: string } | null;
  decisions: { at: number; choice: string; nextRequestMs: number | null; costStore: number; costGenerate: number | null; basis: string }[];
};

const timeOf = (ms: number | null): string => (ms === null ? 'unknown' : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toPrecision(4)} s`);
const costs = new Intl.NumberFormat('en', { maximumSignificantDigits: 3, useGrouping: false });
const costOf = (cost: number | null): string => (cost === null ? 'unknown' : costs.format(cost));
const bases: Readonly<Record<string, string>> = { own: 'its own requests', similar: 'those of similar objects', none: 'nothing' };

const explained = (found: Explained): string => {
  const { manifest, measured } = found;
  if (!manifest) return fields([['stored', `yes, ${found.bytes} bytes; it is not computed`]]);
  const made = `${manifest.function}@${manifest.version} from ${manifest.sources.map(({ bucket, key }) => `${bucket}/${key}`).join(', ')}`;
  const head = fields([
    ['stored', found.stored ? `yes, ${found.storedBytes} bytes` : `no, ${found.bytes} bytes are made when somebody asks`],
    ['made by', made],
    ...(manifest.distrusted === undefined ? [] : [[found.stored ? 'kept because' : 'not trusted', manifest.distrusted] as const]),
    ['next request', `${timeOf(found.nextRequestMs)}, by ${bases[found.basis] ?? found.basis}`],
    ['cost to store', costOf(found.costStore)],
    ['cost to make', costOf(found.costGenerate)],
    ['measured', measured ? `${measured.runs} runs, ${measured.cpuMs.toPrecision(3)} ms of CPU, ${Math.round(measured.memoryBytes / 1024)} KiB` : 'no runs'],
  ]);
  const rows = found.decisions.map((made) => [
    new Date(made.at).toISOString(),
    made.choice,
    timeOf(made.nextRequestMs),
    costOf(made.costStore),
    costOf(made.costGenerate),
    made.basis,
  ]);
  return rows.length === 0 ? head : `${head}\n\n${table(['at', 'choice', 'next request', 'store', 'make', 'basis'], rows, '')}`;
};

export const objectsExplain: Command = {
  name: 'objects explain',
  summary: 'Say why the bytes of an object are stored, or made when somebody asks.',
  parameters: ['BUCKET/KEY'],
  options: {},
  run: async ({ parameters: [name = ''], terminal, connect }) => {
    const client = connect();
    const response = await checked(await client.send(urlOf(client, targetOf(name), { explain: '' }), {}));
    print(terminal, (await response.json()) as Explained, explained);
  },
};
