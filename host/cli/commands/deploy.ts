import { resolve } from 'node:path';
import { Problem } from '../../base/errors.ts';
import type { Command, Context } from '../command.ts';
import { uploadComponent } from '../component-upload.ts';
import { readTarget } from '../manifest-file.ts';
import { print, progress } from '../terminal.ts';

function refuseWeight({ options }: Context): void {
  if (options.has('weight')) throw new Problem('not-implemented', 'cannot deploy with --weight: this version of the node sends every request to one version');
}

/** Uploads a component and makes a version of a function that runs it. */
export const deploy: Command = {
  name: 'deploy',
  summary: 'Deploy a new version of a function and set it live.',
  parameters: ['[DIR | nacelle.jsonc | FILE.wasm]'],
  options: {
    name: { type: 'string', value: 'N', description: "Name of the function. Default: the manifest's, or the file's." },
    route: { type: 'string', multiple: true, value: 'R', description: 'A host or path to answer at, in place of those of the manifest.' },
    set: {
      type: 'string',
      multiple: true,
      value: 'KEY=VALUE',
      description: 'Any key of the manifest, as in limits.memoryMib=64; the value is JSON, or else text.',
    },
    weight: { type: 'string', value: 'N', description: 'Not in this version.' },
  },
  run: async (context) => {
    refuseWeight(context);
    const { parameters, options, terminal, directory, connect } = context;
    const { manifest, component } = readTarget(resolve(directory, parameters[0] ?? '.'), options);
    const client = connect();
    progress(terminal, component ? `uploading and preparing ${component}` : 'deploying');
    try {
      const module = component === undefined ? manifest.module : await uploadComponent(client, component);
      progress(terminal, `deploying ${manifest.name}`);
      const json = { ...manifest, module } as never;
      const deployed = await (await client.api.v1.functions.$post({ query: client.tenant, json })).json();
      progress(terminal, '');
      print(terminal, deployed, ({ name, version, digest, staged, urls }) =>
        [`${name}@${version}  ${digest}${staged ? `  in rollout: nacelle rollout show ${name}` : ''}`, ...urls.map((url) => `  ${url}`)].join('\n'),
      );
      for (const secret of deployed.missingSecrets)
        terminal.error(`warning: secret ${secret} has no value yet: nacelle secrets put ${deployed.name} ${secret}\n`);
    } finally {
      progress(terminal, '');
    }
  },
};
