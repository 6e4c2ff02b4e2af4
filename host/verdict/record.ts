/** The record of a failure, as a control function gets it. */
import type { Judgeable, Limits, Subject } from './model.ts';

const responseTextMax = 4096;
const earlierMax = 20;
/** What a client proves itself with is its own. */
const withheld: ReadonlySet<string> = new Set(['authorization', 'cookie', 'proxy-authorization']);

const textOf = (bytes: Uint8Array): { text: string } | { base64: string } => {
  const shown = bytes.subarray(0, responseTextMax);
  const text = new TextDecoder().decode(shown, { stream: true });
  return text.includes('\ufffd') ? { base64: Buffer.from(shown).toString('base64') } : { text };
};

const contentTypeOf = (headers: Subject['request']['headers']): string | null => headers.find(([name]) => name.toLowerCase() === 'content-type')?.[1] ?? null;

/** The limits by which an attempt was run. */
export const limitsOf = ({ limits }: Judgeable, { change }: Subject): Limits => {
  const { memoryMib = limits.memoryMib, cpuMs = limits.cpuMs, timeMs = limits.timeMs } = change.limits ?? {};
  return { memoryMib, cpuMs, timeMs };
};

/** @param log the last lines of the attempt */
export const failureRecord = (judgeable: Judgeable, subject: Subject, ceilings: Limits, log: readonly string[]) => {
  const { tenant, function: name, version } = judgeable;
  const { execution, trigger, arrivedAt, attempt, earlier, change, error, response, meter, request } = subject;
  return {
    tenant,
    function: name,
    version: change.version ?? version,
    execution,
    trigger,
    arrivedAt: new Date(arrivedAt).toISOString(),
    attempt,
    attempts: earlier.slice(-earlierMax),
    error,
    response: response && { status: response.status, headers: response.headers, bytes: response.body.length, ...textOf(response.body) },
    limits: limitsOf(judgeable, subject),
    ceilings,
    memory: meter && { bytesPeak: meter.memoryBytesPeak, refused: meter.memoryRefused },
    input: { href: `/v1/executions/${execution}/input`, scope: `read:${tenant}`, bytes: request.bytes, contentType: contentTypeOf(request.headers) },
    parameters: {
      method: request.method,
      path: request.pathWithQuery,
      headers: request.headers.filter(([header]) => !withheld.has(header.toLowerCase())),
    },
    log,
  };
};

export type FailureRecord = ReturnType<typeof failureRecord>;
