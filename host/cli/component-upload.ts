import { createHash } from 'node:crypto';
import { createReadStream, openAsBlob } from 'node:fs';
import { Problem } from '../base/errors.ts';
import { type ControlClient, checked } from './client.ts';

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(file)) hash.update(chunk);
  } catch (error) {
    throw new Problem('manifest-invalid', `cannot read the component ${file}: ${(error as Error).message}`);
  }
  return `sha256:${hash.digest('hex')}`;
}

/** Uploads a component, unless the tenant has it; returns its digest. */
export async function uploadComponent({ api, tenant, send }: ControlClient, file: string): Promise<string> {
  const digest = await digestOf(file);
  const url = api.v1.modules.$url({ query: { ...tenant, digest } });
  await checked(await send(url, { method: 'PUT', body: await openAsBlob(file), headers: { 'content-type': 'application/wasm' } }));
  return digest;
}
