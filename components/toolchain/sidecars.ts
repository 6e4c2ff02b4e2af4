// Sidecars in C, and functions that need one. The first lines of a source say what it is; here stands what it exports.
import { readFileSync } from 'node:fs';
import { componentOfC } from './c.ts';
import { componentWorld } from './wat.ts';
import { draft, nest, releasedPackage } from './wit.ts';

const VERSION = '0.2.3';
const HANDLER = `wasi:http/incoming-handler@${VERSION}`;
const LIFECYCLE = 'nacelle:sidecar/lifecycle@0.1.0';
const OWN = ['lifecycle', 'configuration', 'next'].map((name) => `nacelle:sidecar/${name}@0.1.0`);
const BASKETS = 'nacelle:shop/baskets@1.0.0';

const FLAGS = 'nacelle:features/toggles@0.1.0';

const root = new URL('../', import.meta.url);

/** Sources under components/ without their ending, with the exports of each. */
export const sidecars: Readonly<Record<string, { exports: string[]; imports?: string[]; wit?: string }>> = {
  'c/sidecar/pass': { exports: [HANDLER] },
  'c/sidecar/probe': { exports: [HANDLER], imports: [`wasi:filesystem/types@${VERSION}`, `wasi:filesystem/preopens@${VERSION}`] },
  'c/sidecar/wayward': { exports: [HANDLER] },
  'c/sidecar/censor': { exports: [HANDLER] },
  'c/sidecar/counter': { exports: [HANDLER] },
  'c/sidecar/companion': { exports: [LIFECYCLE] },
  'c/sidecar/turnstile': { exports: [HANDLER, LIFECYCLE] },
  'c/sidecar/quiet': { exports: [LIFECYCLE] },
  'c/sidecar/tardy': { exports: [LIFECYCLE] },
  'c/composed/guard': { exports: [HANDLER] },
  'c/composed/basket': { exports: [BASKETS], wit: 'c/composed/shop.wit' },
  '../sidecars/access-log': { exports: [LIFECYCLE] },
  '../sidecars/token-policy': { exports: [HANDLER] },
  '../sidecars/redaction': { exports: [HANDLER] },
  '../sidecars/recorder': { exports: [HANDLER] },
  '../sidecars/feature-flags': { exports: [FLAGS], wit: '../sidecars/feature-flags.wit' },
  'c/sidecar/flagged': { exports: [HANDLER], imports: [FLAGS], wit: '../sidecars/feature-flags.wit' },
  'c/sidecar/rogue': { exports: [BASKETS], wit: 'c/composed/shop.wit' },
  'c/sidecar/hoarder': { exports: [HANDLER], imports: [BASKETS], wit: 'c/composed/shop.wit' },
  'c/composed/shop': { exports: [HANDLER], imports: [BASKETS], wit: 'c/composed/shop.wit' },
};

export async function sidecarOfC(source: string): Promise<Uint8Array> {
  const { exports, imports = [], wit } = sidecars[source]!;
  const imported = [...imports, ...OWN.slice(1), HANDLER].map((name) => `import ${name};`);
  const world = `${imported.join(' ')} ${exports.map((name) => `export ${name};`).join(' ')}`;
  const files = imports.some((name) => name.startsWith('wasi:filesystem/')) ? [releasedPackage('filesystem', VERSION)] : [];
  const packages = [draft('nacelle-sidecar'), ...files, ...(wit ? [nest(readFileSync(new URL(wit, root), 'utf8'))] : [])];
  return componentOfC(new URL(`${source}.c`, root), componentWorld(VERSION, world, packages));
}
