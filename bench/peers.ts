// The servers that nacelle is compared with, each on a free port of 127.0.0.1. One that is not installed is left out, with
// a line that says so.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, type Server, startServer, temporaryFolder, versionOf } from './lib.ts';

/** How long wasmtime may compile 14 MB of StarlingMonkey on a busy machine. */
const COMPILE_MS = 180_000;

const nodeServer = fileURLToPath(new URL('./node-http.ts', import.meta.url));

const workerdConfig = (port: number) => `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (serviceWorkerScript = embed "hello.js", compatibilityDate = "2025-01-01"))],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);`;

const workerdScript = `addEventListener('fetch', (event) => event.respondWith(new Response('Hello from workerd!\\n')));`;

function missing(what: string, how: string): undefined {
  console.log(`${what} is left out: not installed (${how})`);
}

/** `wasmtime serve` with a fresh instance a request, its default. */
export async function startWasmtime(component: string): Promise<Server | undefined> {
  const version = versionOf('wasmtime');
  if (version === undefined) return missing('wasmtime serve', 'cargo install wasmtime-cli');
  const address = `127.0.0.1:${await freePort()}`;
  return startServer('wasmtime', ['serve', '--addr', address, '-S', 'cli,config', component], `http://${address}/`, COMPILE_MS);
}

/** workerd with a JavaScript hello; one thread, state kept between requests. The binary is named by WORKERD, or `workerd`. */
export async function startWorkerd(): Promise<Server | undefined> {
  const binary = process.env.WORKERD ?? 'workerd';
  if (versionOf(binary) === undefined) return missing('workerd', 'npm install workerd elsewhere, and set WORKERD to its binary');
  const folder = temporaryFolder();
  const port = await freePort();
  writeFileSync(join(folder, 'hello.js'), workerdScript);
  writeFileSync(join(folder, 'config.capnp'), workerdConfig(port));
  return startServer(binary, ['serve', join(folder, 'config.capnp')], `http://127.0.0.1:${port}/`);
}

/** Bare `node:http` in as many threads as the machine has processors, sharing one port. */
export async function startNodeHttp(threads: number): Promise<Server> {
  const port = await freePort();
  return startServer(process.execPath, [nodeServer, String(port), String(threads)], `http://127.0.0.1:${port}/`);
}

/** Versions of the peers that are there, for the head of a report. */
export function peerVersions(): string {
  const known = [versionOf('wasmtime'), versionOf(process.env.WORKERD ?? 'workerd'), existsSync('/usr/bin/wrk') ? 'wrk' : undefined];
  return known.filter((version) => version !== undefined).join(', ');
}
