import type { Command } from '../command.ts';
import { fields, print } from '../terminal.ts';

const listed = (items: readonly string[], none = '-'): string => (items.length > 0 ? items.join(', ') : none);

type Composition = {
  chain: readonly string[];
  links: readonly { from: string; interface: string; to: string }[];
  sidecars: readonly { name: string; version: string; kinds: readonly string[]; scope: string; why: string; from: string }[];
};

/** Through whom requests go, who provides which interface to whom, and what each sidecar is. */
const drawn = ({ chain, links, sidecars }: Composition): (readonly [string, string])[] => [
  ['  requests', chain.join(' → ')],
  ...links
    .filter((link) => !link.interface.startsWith('wasi:http/incoming-handler'))
    .map((link) => ['  provided', `${link.from} ← ${link.interface} ← ${link.to}`] as const),
  ...sidecars.map(({ name, version, kinds, scope, why, from }) => [`  ${name}@${version}`, `${kinds.join(', ')}; ${from}, ${scope} scope, by ${why}`] as const),
];

const guaranteed = (guarantee: unknown): string => {
  if (typeof guarantee !== 'object' || guarantee === null) return '';
  const { runs, retries, outbound } = guarantee as Record<string, unknown>;
  return `an execution takes effect ${runs} × for each key, ${retries} retries${outbound === 'allow' ? '; outgoing requests are excluded from it' : ''}`;
};

type Change = { at: string; version: number; what: string; from: string | number | null; to: string | number; by: string; reason: string };

/** Who changed what, and why. */
const changed = ({ at, version, what, from, to, by, reason }: Change): string =>
  `${at}  ${what}${what === 'live' ? '' : ` of version ${version}`} from ${from ?? '-'} to ${to}, by ${by}: ${reason}`;

export const show: Command = {
  name: 'show',
  summary: 'Show a function: its live version, routes, limits, secrets, and why it may need a new instance for each execution.',
  parameters: ['FN'],
  options: {},
  run: async ({ parameters: [name = ''], terminal, connect }) => {
    const { api, tenant } = connect();
    const detail = await (await api.v1.functions[':name'].$get({ param: { name }, query: tenant })).json();
    print(terminal, detail, ({ version, module, manifest, secrets, urls, previous, missingSecrets, denied, composition, changes }) => {
      const limits = Object.entries((manifest.limits ?? {}) as Record<string, unknown>).map(([key, value]) => `${key} ${value}`);
      return fields([
        ['name', detail.name],
        ['tenant', detail.tenant],
        ['version', `${version.version}, deployed ${version.createdAt}`],
        ...(detail.staged === null ? [] : [['rollout', `version ${detail.staged} is on its way to the edges: nacelle rollout show ${detail.name}`] as const]),
        ['previous', previous === null ? '-' : String(previous)],
        ['module', `${version.digest}, ${module.bytes} bytes`],
        ['urls', listed(urls)],
        ['limits', listed(limits)],
        ['instance', module.unrestorable.length > 0 ? `made anew for each execution: ${module.unrestorable.join('; ')}` : String(manifest.instance)],
        ...(guaranteed(manifest.guarantee) ? [['guarantee', guaranteed(manifest.guarantee)] as const] : []),
        ['secrets', listed(secrets.map((secret) => secret.name))],
        ['missing secrets', listed(missingSecrets)],
        ['imports', listed(module.imports)],
        ['not granted', listed(denied)],
        ...(composition ? [['sidecars', ''] as const, ...drawn(composition)] : []),
        ...changes.map((change) => ['changed', changed(change)] as const),
      ]);
    });
  },
};
