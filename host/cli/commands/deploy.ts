import { resolve } from 'node:path';
import { Problem } from '../../base/errors.ts';
import { buildComponent } from '../../toolchain/component.ts';
import type { ControlClient } from '../client.ts';
import type { Command, Context } from '../command.ts';
import { uploadBytes, uploadComponent } from '../component-upload.ts';
import { readTarget, type Target } from '../manifest-file.ts';
import { print, progress } from '../terminal.ts';

function refuseWeight({ options }: Context): void {
  if (options.has('weight')) throw new Problem('not-implemented', 'cannot deploy with --weight: this version of the node sends every request to one version');
}

/** The digest of what is to be deployed: what the manifest says, or that of the file that it is uploaded from, built first if it is a source. */
async function moduleOf({ manifest, component, source }: Target, client: ControlClient, { terminal, directory }: Context): Promise<unknown> {
  if (component !== undefined) {
    progress(terminal, `uploading and preparing ${component}`);
    return uploadComponent(client, component);
  }
  if (source === undefined) return manifest.module;
  progress(terminal, `building ${source}`);
  const built = await buildComponent(source, directory);
  progress(terminal, 'uploading and preparing the component');
  return uploadBytes(client, built.component);
}

/** Uploads a component and makes a version of a function that runs it. */
export const deploy: Command = {
  name: 'deploy',
  summary: 'Deploy a new version of a function and set it live.',
  parameters: ['[DIR | nacelle.jsonc | FILE.wasm | SOURCE]'],
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
    const target = readTarget(resolve(directory, parameters[0] ?? '.'), options);
    const { manifest } = target;
    const client = connect();
    try {
      const module = await moduleOf(target, client, context);
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
