import type { Command } from '../command.ts';
import { fields, print } from '../terminal.ts';

const listed = (items: readonly string[], none = '-'): string => (items.length > 0 ? items.join(', ') : none);

export const show: Command = {
  name: 'show',
  summary: 'Show a function: its live version, routes, limits, secrets, and why it may need a new instance for each execution.',
  parameters: ['FN'],
  options: {},
  run: async ({ parameters: [name = ''], terminal, connect }) => {
    const { api, tenant } = connect();
    const detail = await (await api.v1.functions[':name'].$get({ param: { name }, query: tenant })).json();
    print(terminal, detail, ({ version, module, manifest, secrets, urls, previous, missingSecrets, denied }) => {
      const limits = Object.entries((manifest.limits ?? {}) as Record<string, unknown>).map(([key, value]) => `${key} ${value}`);
      return fields([
        ['name', detail.name],
        ['tenant', detail.tenant],
        ['version', `${version.version}, deployed ${version.createdAt}`],
        ['previous', previous === null ? '-' : String(previous)],
        ['module', `${version.digest}, ${module.bytes} bytes`],
        ['urls', listed(urls)],
        ['limits', listed(limits)],
        ['instance', module.unrestorable.length > 0 ? `made anew for each execution: ${module.unrestorable.join('; ')}` : String(manifest.instance)],
        ['secrets', listed(secrets.map((secret) => secret.name))],
        ['missing secrets', listed(missingSecrets)],
        ['imports', listed(module.imports)],
        ['not granted', listed(denied)],
      ]);
    });
  },
};
