import { createReadStream, readFileSync } from 'node:fs';
import type { Deployments } from './deployments.ts';
import { defaultTenant } from './names.ts';

/** An entry of fixtures/examples.json: a component beside it, and its manifest without `module`. */
type Example = { component: string; manifest: { name: string } };

/** Deploys the functions that `list` names, as an upload and a deployment of the tenant `default` would; those that are there stay as they are. */
export const deployExamples = async ({ functions, modules }: Deployments, list: URL, bytesMax: number): Promise<void> => {
  const examples = JSON.parse(readFileSync(list, 'utf8')) as Example[];
  const deployOne = async ({ component, manifest }: Example): Promise<void> => {
    if (await functions.read.find(defaultTenant, manifest.name)) return;
    const { module } = await modules.upload(defaultTenant, createReadStream(new URL(component, list)), { bytesMax });
    await functions.write.deploy(defaultTenant, { ...manifest, module: module.digest });
  };
  await Promise.all(examples.map(deployOne));
};
