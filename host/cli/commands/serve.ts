import { Problem } from '../../base/errors.ts';
import { cacheCode, saveCode } from '../../config/code-cache.ts';
import { loadConfig } from '../../config/load.ts';
import type { NodeConfig } from '../../config/schema.ts';
import { settings } from '../../config/settings.ts';
import { type Command, type Context, type OptionSpec, UsageError } from '../command.ts';
import { print } from '../terminal.ts';

const later: Readonly<Record<string, OptionSpec>> = {
  'tls-cert': { type: 'string', value: 'FILE', description: 'Not in this version.' },
  'tls-key': { type: 'string', value: 'FILE', description: 'Not in this version.' },
  cluster: { type: 'string', value: 'URL', description: 'Not in this version.' },
};

const settingOptions = Object.fromEntries(
  settings.map(({ flag, description, fallback }): [string, OptionSpec] => [
    flag,
    { type: 'string', value: 'V', description: `${description} Default: ${fallback}.` },
  ]),
);

function refuseLater({ options }: Context): void {
  const asked = Object.keys(later).filter((name) => options.has(name));
  if (asked.length === 0) return;
  const problems = asked.map((name) => `cannot serve with --${name}: this version of the node does not do this yet`);
  throw new Problem('not-implemented', problems[0] as string, problems);
}

/** Short names of what makes an edge. */
function edgeFlags({ options, env }: Context): Record<string, string> {
  const origin = options.text('origin') ?? options.text('edge-origin');
  const token = options.text('token') ?? options.text('edge-token') ?? (options.has('origin') ? env.NACELLE_TOKEN : undefined);
  const labels = options.list('label');
  const key = options.text('origin-key') ?? options.text('edge-origin-key');
  return {
    ...(origin ? { 'edge-origin': origin } : {}),
    ...(token ? { 'edge-token': token } : {}),
    ...(key ? { 'edge-origin-key': key } : {}),
    ...(labels.length > 0 ? { 'edge-labels': JSON.stringify(labels) } : {}),
  };
}

const ended = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });

/** Runs a node until SIGINT or SIGTERM. */
export const serve: Command = {
  name: 'serve',
  summary: 'Run a node.',
  parameters: [],
  local: true,
  options: {
    config: { type: 'string', value: 'FILE', description: 'Settings in JSON with comments. Default: NACELLE_CONFIG, or ./node.jsonc if it is there.' },
    origin: { type: 'string', value: 'URL', description: 'The same as --edge-origin.' },
    token: { type: 'string', value: 'TOKEN', description: 'The same as --edge-token. Default beside --origin: NACELLE_TOKEN.' },
    'origin-key': { type: 'string', value: 'KEY', description: 'The same as --edge-origin-key.' },
    label: { type: 'string', multiple: true, value: 'KEY=VALUE', description: 'A label of this edge, in place of those of --edge-labels.' },
    examples: { type: 'boolean', description: 'Deploy the example functions at the first start.' },
    ...settingOptions,
    ...later,
  },
  run: async (context) => {
    refuseLater(context);
    const { options, env, directory, terminal, signal } = context;
    const flags = { ...Object.fromEntries(['config', ...settings.map(({ flag }) => flag)].map((name) => [name, options.text(name)])), ...edgeFlags(context) };
    const config = loadConfig({ flags, env, directory });
    if (config.edge.origin !== '' && options.flag('examples')) throw new UsageError('an edge serves what its origin has: --examples is not for it');
    cacheCode(config.data);
    const { startNode } = await import('../../node.ts');
    saveCode();
    const node = await startNode(config, { examples: options.flag('examples') });
    const { httpUrl, controlUrl } = node;
    print(terminal, { httpUrl, controlUrl, data: config.data }, () => banner(httpUrl, controlUrl, config, options.flag('examples')));
    await ended(signal);
    await node.close();
  },
};

function banner(httpUrl: string, controlUrl: string, { data, edge: { origin } }: NodeConfig, examples: boolean): string {
  const lines = [`functions  ${httpUrl}`, `control    ${controlUrl}`, `data       ${data} (the admin's token is in admin.token)`];
  if (origin !== '') lines.push(`origin     ${origin}`);
  if (examples) lines.push('', 'Try:', `  curl ${httpUrl}/hello/`);
  return lines.join('\n');
}
