import { AggregatorRegistry, collectDefaultMetrics, Registry } from 'prom-client';
import type { MetricSnapshot } from './instruments.ts';

const own = new Registry();
let collecting = false;

/** Prometheus's text form of the sum of all threads' snapshots, with the process's own numbers (CPU, memory, event loop, collections). */
export async function exposeMetrics(snapshots: readonly (readonly MetricSnapshot[])[]): Promise<string> {
  if (!collecting) collectDefaultMetrics({ register: own });
  collecting = true;
  const merged = AggregatorRegistry.aggregate(snapshots as unknown as object[]);
  return `${await merged.metrics()}\n${await own.metrics()}`;
}
