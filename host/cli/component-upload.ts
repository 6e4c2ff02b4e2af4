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

async function put({ api, tenant, send }: ControlClient, digest: string, body: Blob): Promise<string> {
  const url = api.v1.modules.$url({ query: { ...tenant, digest } });
  await checked(await send(url, { method: 'PUT', body, headers: { 'content-type': 'application/wasm' } }));
  return digest;
}

/** Uploads a component, unless the tenant has it; returns its digest. */
export async function uploadComponent(client: ControlClient, file: string): Promise<string> {
  return put(client, await digestOf(file), await openAsBlob(file));
}

/** As `uploadComponent`, of bytes. */
export async function uploadBytes(client: ControlClient, bytes: Uint8Array): Promise<string> {
  return put(client, `sha256:${createHash('sha256').update(bytes).digest('hex')}`, new Blob([Uint8Array.from(bytes)]));
}
