import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { exposeMetrics } from '../../host/telemetry/exposition.ts';
import { Metrics, statusClass } from '../../host/telemetry/metrics.ts';

const lines = (text: string, name: string): string[] => text.split('\n').filter((line) => line.startsWith(name));

test('exposeMetrics: sums the numbers of all threads', async () => {
  const [first, second] = [new Metrics(), new Metrics()];
  first.executions.add('ok', 3);
  second.executions.add('ok', 2);
  second.executions.add('guest-trap');
  first.instances.set('', 4);
  second.instances.set('', 1);
  const text = await exposeMetrics([structuredClone(first.snapshot()), structuredClone(second.snapshot())]);
  assert.equal(lines(text, 'nacelle_executions_total'), ['nacelle_executions_total{code="ok"} 5', 'nacelle_executions_total{code="guest-trap"} 1']);
  assert.equal(lines(text, 'nacelle_instances '), ['nacelle_instances 5']);
  assert.match(text, '# TYPE nacelle_instances gauge');
  assert.match(text, '# TYPE nacelle_executions_total counter');
});

test('exposeMetrics: histograms have cumulative buckets, sum and count', async () => {
  const [first, second] = [new Metrics(), new Metrics()];
  for (const seconds of [0.0005, 0.002, 500]) first.requestSeconds.observe(seconds);
  second.requestSeconds.observe(0.001);
  const text = await exposeMetrics([first.snapshot(), second.snapshot()]);
  assert.match(text, 'nacelle_request_seconds_bucket{le="0.0003"} 0');
  assert.match(text, 'nacelle_request_seconds_bucket{le="0.001"} 2');
  assert.match(text, 'nacelle_request_seconds_bucket{le="0.003"} 3');
  assert.match(text, 'nacelle_request_seconds_bucket{le="+Inf"} 4');
  assert.match(text, 'nacelle_request_seconds_count 4');
  assert.match(text, /nacelle_request_seconds_sum 500\.0035/);
});

test("exposeMetrics: has the process's own numbers, each once, however often it is asked", async () => {
  await exposeMetrics([]);
  assert.is(lines(await exposeMetrics([new Metrics().snapshot()]), 'process_cpu_seconds_total ').length, 1);
});

test('exposeMetrics: a label of a guest cannot break out of its place', async () => {
  const metrics = new Metrics();
  metrics.loads.add('x"} 1\nnacelle_forged 9 {"', 1);
  assert.equal(lines(await exposeMetrics([metrics.snapshot()]), 'nacelle_forged'), []);
});

test('statusClass: names the class of a status', () => {
  assert.equal([200, 204, 404, 599, 700].map(statusClass), ['2xx', '2xx', '4xx', '5xx', 'other']);
});

test.run();
