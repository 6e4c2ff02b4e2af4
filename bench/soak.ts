/**
 * Memory of a node over many requests: resident size after each part.
 *
 * Usage: node bin/node26.js bench/soak.ts [component] [--requests=1000000] [--parts=10]
 */
import { residentMib } from './cpu.ts';
import { option, printMachine, wrk } from './lib.ts';
import { fixture, nacelle, startNacelle } from './node-under-test.ts';

const CONNECTIONS = 32;
const SLICE_SECONDS = 2;

const component = process.argv.slice(2).find((argument) => !argument.startsWith('--')) ?? 'hello';
const requests = option('requests', 1_000_000);
const parts = option('parts', 10);

printMachine();
const node = await startNacelle();
try {
  await nacelle(node, 'deploy', fixture(component), '--name', 'soaked');
  let sent = 0;
  let failed = 0;
  for (let part = 1; part <= parts; part++) {
    while (sent < (requests * part) / parts) {
      const load = await wrk(`${node.http}/soaked/`, CONNECTIONS, SLICE_SECONDS);
      sent += load.requests;
      failed += load.failed;
    }
    console.log(`${sent.toLocaleString('en')} requests, ${failed} failed: ${residentMib(node.pid).toFixed(0)} MiB resident`);
  }
} finally {
  await node.stop();
}
