// The fixtures that are several components in one.
import { readFileSync } from 'node:fs';
import { componentOfC } from './c.ts';
import { compose } from './compose.ts';
import { functionWorld } from './wat.ts';
import { nest, worldSource } from './wit.ts';

const VERSION = '0.2.3';
const HANDLER = `wasi:http/incoming-handler@${VERSION}`;
const BASKETS = 'nacelle:shop/baskets@1.0.0';

const sources = new URL('../c/', import.meta.url);
const source = (path: string): URL => new URL(path, sources);

/** All that the parts take from the host. */
const hostWorld = worldSource(VERSION, `import wasi:http/types@${VERSION}; import wasi:io/streams@${VERSION}; import wasi:io/poll@${VERSION};`);

export async function composedWithGuard(): Promise<Uint8Array> {
  const hello = { name: 'hello', component: await componentOfC(source('hello.c')), with: {} };
  const world = functionWorld(VERSION, `import ${HANDLER};`);
  const guard = { name: 'guard', component: await componentOfC(source('composed/guard.c'), world), with: { [HANDLER]: 'hello' } };
  return compose(hostWorld, [hello, guard], HANDLER);
}

export async function composedWithProvider(): Promise<Uint8Array> {
  const shop = nest(readFileSync(source('composed/shop.wit'), 'utf8'));
  const basketWorld = worldSource(VERSION, `export ${BASKETS};`, [shop]);
  const shopWorld = `${functionWorld(VERSION, `import ${BASKETS};`)}\n${shop}`;
  const basket = { name: 'basket', component: await componentOfC(source('composed/basket.c'), basketWorld), with: {} };
  const main = { name: 'shop', component: await componentOfC(source('composed/shop.c'), shopWorld), with: { [BASKETS]: 'basket' } };
  return compose(hostWorld, [basket, main], HANDLER);
}
