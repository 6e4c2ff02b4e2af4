import type { ExecutionRecord } from '../../execution/record.ts';
import { attemptText, putOffText } from '../attempts.ts';
import type { Command } from '../command.ts';
import { fields, print, table } from '../terminal.ts';

const describe = (inputs: Readonly<Record<string, unknown>>): string =>
  Object.entries(inputs)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');

const moment = (at: number | undefined): string => (at === undefined ? '-' : String(at));

/** Nothing for a function without sidecars. */
const sidecarTable = ({ sidecars }: ExecutionRecord): string[] => (sidecars.length === 0 ? [] : ['', sidecarRows(sidecars)]);

const sidecarRows = (sidecars: ExecutionRecord['sidecars']): string =>
  table(
    ['sidecar', 'kind', 'scope', 'instance', 'why', 'used', 'started (µs)', 'ready (µs)', 'stopped (µs)', 'failed'],
    sidecars.map(({ name, version, kind, scope, instance, why, used, startedAt, readyAt, stoppedAt, code }) => [
      `${name}@${version}`,
      kind,
      scope,
      instance,
      why,
      used ? 'yes' : 'no',
      moment(startedAt),
      moment(readyAt),
      moment(stoppedAt),
      code ?? '-',
    ]),
    'no sidecars',
  );

const passedOver = (record: ExecutionRecord): string =>
  table(
    ['passed over', 'reason'],
    record.decisions.flatMap(({ passedOver }) => passedOver.map(({ candidate, reason }) => [candidate, reason])),
    'nothing was passed over',
  );

/** Of an event that waits. */
const waitsOf = ({ waits }: ExecutionRecord): (readonly [string, string])[] => {
  if (!waits) return [];
  const { nextAt, putOff } = waits;
  return [['next at', nextAt], ...(putOff ? [['put off', putOffText(putOff)] as const] : [])];
};

function explained(record: ExecutionRecord): string {
  const { meter, result } = record;
  const calls = Object.entries(meter.hostCalls).map(([name, count]) => [name, String(count)]);
  return [
    fields([
      ['execution', record.id],
      ['function', `${record.tenant}/${record.function}@${record.version}`],
      ['state', record.code ? `${record.state}: ${record.code}` : record.state],
      ['arrived', record.arrivedAt],
      ...waitsOf(record),
      ['fleet', record.fleet],
      ['rung', record.rung === null ? '-' : `${record.rung}${record.isolate === undefined ? '' : `, in isolate-${record.isolate}`}`],
      ['module from', record.load],
      ['result', result ? `status ${result.status}, ${result.bytes} bytes` : '-'],
      ['cpu', `${meter.cpuUs} µs`],
      ['wall clock', `${meter.wallUs} µs`],
      ['memory', `${meter.memoryBytesPeak} bytes at most${meter.memoryRefused ? ', a request for more was refused' : ''}`],
      ['bodies', `${meter.bytesIn} bytes in, ${meter.bytesOut} bytes out`],
    ]),
    '',
    table(
      ['after (µs)', 'step'],
      record.timeline.map(({ at, step }) => [String(at), step]),
      'no timeline',
    ),
    '',
    table(
      ['after (µs)', 'decision', 'choice', 'from'],
      record.decisions.map(({ at, kind, choice, inputs }) => [String(at), kind, choice, describe(inputs)]),
      record.rung === 1 ? 'no decision: its gateway thread took an idle instance' : 'no decisions',
    ),
    '',
    passedOver(record),
    '',
    table(['host interface', 'calls'], calls, 'no host calls'),
    ...sidecarTable(record),
    ...(record.attempts ?? []).map((attempt) => `\n${attemptText(attempt)}`),
  ].join('\n');
}

export const explain: Command = {
  name: 'explain',
  summary: 'Say what happened in an execution: where it ran and why, its timeline and what it used.',
  parameters: ['EXECUTION'],
  options: {},
  run: async ({ parameters: [id = ''], terminal, connect }) => {
    const { api, tenant } = connect();
    const record = (await (await api.v1.executions[':id'].$get({ param: { id }, query: tenant })).json()) as unknown as ExecutionRecord;
    print(terminal, record, explained);
  },
};
