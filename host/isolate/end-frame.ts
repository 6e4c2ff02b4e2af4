/** The end of a run as it travels: what every run has in binary, the rest as JSON where there is any. */
import { type ErrorCode, Problem } from '../base/errors.ts';
import { shorten } from '../base/shorten.ts';
import type { ResponseState, RunEnd, RunFailure, RunMeter, RunSteps, SidecarRun } from '../instance/runner.ts';
import type { FrameReader, FrameWriter } from './frame.ts';
import { ownMs, sharedMs, stepsBy, withMoments } from './moment.ts';

const responses: readonly ResponseState[] = ['unset', 'failed', 'open', 'aborted', 'finished'];
const flags = { kept: 1, memoryRefused: 2, started: 4, more: 8 } as const;

/** Of messages and backtraces, in which a guest may have had a say. */
const TEXT_CHARACTERS_MAX = 16 * 1024;

/** Moments by the clock that threads share. */
type More = {
  failure: { code: string; message: string; backtrace: string | undefined; exited: boolean } | undefined;
  sidecars: readonly SidecarRun[] | undefined;
  steps: RunSteps | undefined;
};

const moreOf = ({ failure, sidecars, steps }: RunEnd): More => ({
  failure: failure && {
    code: failure.problem.code,
    message: shorten(failure.problem.message, TEXT_CHARACTERS_MAX),
    backtrace: failure.backtrace && shorten(failure.backtrace, TEXT_CHARACTERS_MAX),
    exited: failure.exited,
  },
  sidecars: sidecars?.map((run) => withMoments(run, sharedMs)),
  steps: steps && stepsBy(steps, sharedMs),
});

/** Host calls go as counts: what they count is known by the holding. */
export const writeEnd = (frame: FrameWriter, end: RunEnd): void => {
  const { meter, startedMs } = end;
  const { counts } = meter.hostCalls;
  const more = end.failure !== undefined || end.sidecars !== undefined || end.steps !== undefined;
  frame
    .number(
      (end.kept ? flags.kept : 0) |
        (meter.memoryRefused ? flags.memoryRefused : 0) |
        (startedMs === undefined ? 0 : flags.started) |
        (more ? flags.more : 0) |
        (responses.indexOf(end.response) << 4),
    )
    .decimal(startedMs === undefined ? 0 : sharedMs(startedMs))
    .decimal(meter.cpuUs)
    .decimal(meter.wallUs)
    .decimal(meter.memoryBytesPeak)
    .number(counts.length);
  for (let i = 0; i < counts.length; i++) frame.number(counts[i] as number);
  if (more) frame.text(JSON.stringify(moreOf(end)));
};

const meterOf = (frame: FrameReader, memoryRefused: boolean, names: readonly string[]): RunMeter => {
  const cpuUs = frame.decimal();
  const wallUs = frame.decimal();
  const memoryBytesPeak = frame.decimal();
  const counts = new Array<number>(frame.number());
  for (let i = 0; i < counts.length; i++) counts[i] = frame.number();
  return { cpuUs, wallUs, memoryBytesPeak, memoryRefused, hostCalls: { names, counts } };
};

const failureOf = (failure: NonNullable<More['failure']>): RunFailure => ({
  problem: new Problem(failure.code as ErrorCode, failure.message),
  backtrace: failure.backtrace,
  exited: failure.exited,
});

/** @param names what the counts of host calls count */
export const readEnd = (frame: FrameReader, names: readonly string[]): RunEnd => {
  const set = frame.number();
  const startedAt = frame.decimal();
  const meter = meterOf(frame, (set & flags.memoryRefused) !== 0, names);
  const more = set & flags.more ? (JSON.parse(frame.text()) as More) : undefined;
  return {
    failure: more?.failure && failureOf(more.failure),
    response: responses[set >> 4] as ResponseState,
    meter,
    kept: (set & flags.kept) !== 0,
    startedMs: set & flags.started ? ownMs(startedAt) : undefined,
    sidecars: more?.sidecars?.map((run) => withMoments(run, ownMs)),
    steps: more?.steps && stepsBy(more.steps, ownMs),
  };
};
