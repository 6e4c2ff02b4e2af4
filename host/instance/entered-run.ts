/** Runs of requests that reach their guest as a message or as standard input: they begin when the whole request is there. */
import { Problem } from '../base/errors.ts';
import type { ExecutionPorts, GuestRequest, ResponseSink } from '../wasi/context.ts';
import { type Entered, type Entries, enterCommand, enterMessaging, type OtherEntry, readWhole } from './entry.ts';
import type { InstancePool, Outcome, Running } from './pool.ts';
import { notRun, type Run, type RunEnd, type RunFailure } from './runner.ts';

const enter = async (entries: Entries, other: OtherEntry, request: GuestRequest, ports: ExecutionPorts): Promise<Entered> => {
  const body = await readWhole(request.body);
  if (other === 'messaging') return enterMessaging(entries.messaging ?? '', request, body, ports);
  return enterCommand(entries.command ?? '', body, ports);
};

const brokenOff: RunFailure = { problem: new Problem('client-gone', 'the request was not sent as a whole'), backtrace: undefined, exited: false };

export type EnteredOptions = {
  pool: InstancePool;
  entries: Entries;
  endOf: (outcome: Outcome, response: RunEnd['response']) => RunEnd;
};

export const runEntered = (
  { pool, entries, endOf }: EnteredOptions,
  other: OtherEntry,
  request: GuestRequest,
  sink: ResponseSink,
  ports: ExecutionPorts,
): Run => {
  let stopped: RunFailure | undefined;
  let running: Running | undefined;
  const finish = async (): Promise<RunEnd> => {
    const entered = await enter(entries, other, request, ports).catch(() => undefined);
    const failure = stopped ?? (entered ? undefined : brokenOff);
    if (failure || !entered) return notRun(failure);
    running = pool.run(entered.ports, entered.call);
    const outcome = await running.done;
    return endOf(outcome, entered.answer(outcome, sink) ? 'finished' : 'unset');
  };
  const stop: Run['stop'] = (code, message) => {
    if (running) running.stop(code, message);
    else stopped = { problem: new Problem(code, message), backtrace: undefined, exited: false };
  };
  return { ended: finish(), stop };
};
