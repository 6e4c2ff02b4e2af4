/** What a control function answers, and how it is read. */
import { z } from 'zod';

const mib = 4096;
const hourMs = 3_600_000;
const whole = (min: number, max: number) =>
  z
    .int({ error: `must be a whole number from ${min} to ${max}` })
    .min(min)
    .max(max);
/** `payloadBytesMax` in base64; text may have as many characters, but not more bytes. */
const base64Max = 700_000;
const reasonMax = 500;

const limits = z
  .strictObject({
    memoryMib: whole(1, mib).optional().describe('Memory of one instance, in MiB.'),
    cpuMs: whole(1, hourMs).optional().describe('CPU time of one execution, in milliseconds.'),
    timeMs: whole(1, 24 * hourMs)
      .optional()
      .describe('Wall-clock time of one execution, in milliseconds.'),
  })
  .describe('Above the ceilings of the node and of the tenant they are lowered to them, and the record of the attempt says so.');

const payload = {
  text: z.string().max(base64Max).optional().describe('The body as text, sent as UTF-8; at most 512 KiB of it.'),
  base64: z.base64().max(base64Max).optional().describe('The body as bytes, at most 512 KiB.'),
};
const onePayload = { error: 'must have "text" or "base64", not both' };
const isOnePayload = ({ text, base64 }: { text?: string | undefined; base64?: string | undefined }): boolean => text === undefined || base64 === undefined;

const headerName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, { error: 'must be the name of a header' });
const headerValue = z
  .string()
  .max(8192)
  .regex(/^[\t\x20-\x7e\x80-\xff]*$/, { error: 'must be the value of a header' });
/** Where one request or connection ends is the node's to say. */
const ownHeaders = /^(connection|content-length|transfer-encoding|keep-alive|upgrade|trailer|te|proxy-connection)$/i;

/** What goes with one verdict only. */
const belongings = [
  ['limits', 'retry'],
  ['version', 'retry'],
  ['input', 'retry'],
  ['result', 'complete'],
] as const;

export const verdictSchema = z
  .strictObject({
    verdict: z
      .enum(['retry', 'rollback', 'dead-letter', 'drop', 'complete', 'default'])
      .describe(
        '"retry": another attempt, with what is changed below; "rollback": the version before is set live, and makes another attempt; "dead-letter" and "drop": no other attempt; "complete": "result" is what came of it; "default": as if nobody had been asked.',
      ),
    reason: z.string().min(1).max(reasonMax).describe('Why; stands in the record of the attempt and in the decision log.'),
    limits: limits.optional().describe('For "retry": limits of the next attempts.'),
    version: z
      .int()
      .min(1)
      .max(2 ** 31)
      .optional()
      .describe('For "retry": the version that makes the next attempts; default: the live one.'),
    input: z
      .strictObject({ ...payload, contentType: headerValue.max(256).optional().describe('Default: that of the request.') })
      .refine(isOnePayload, onePayload)
      .optional()
      .describe('For "retry": a body in place of the one that came.'),
    result: z
      .strictObject({
        status: whole(200, 599).default(200),
        headers: z
          .record(headerName, headerValue)
          .refine((headers) => !Object.keys(headers).some((name) => ownHeaders.test(name)), { error: 'must not have headers of the connection' })
          .optional(),
        ...payload,
      })
      .refine(isOnePayload, onePayload)
      .optional()
      .describe('For "complete": the response. Nothing that the attempt did is kept.'),
    settings: z
      .strictObject({
        limits: limits.optional(),
        fleet: z.enum(['auto', 'resident', 'on-demand']).optional().describe('Where the function runs.'),
        prewarm: whole(0, 64).optional().describe('Instances that are made ready in isolates before anybody asks.'),
      })
      .optional()
      .describe('For the requests to come, until the next deployment; with any verdict.'),
  })
  .superRefine((verdict, context) => {
    for (const [key, wanted] of belongings)
      if (verdict[key] !== undefined && verdict.verdict !== wanted)
        context.addIssue({ code: 'custom', path: [key], message: `only goes with the verdict "${wanted}"` });
    if (verdict.verdict === 'complete' && verdict.result === undefined)
      context.addIssue({ code: 'custom', path: ['result'], message: 'must be there for the verdict "complete"' });
  });

export type Verdict = z.output<typeof verdictSchema>;

const shownMax = 5;

/** Never throws: what is wrong with it is told in words. */
export const parseVerdict = (body: Uint8Array): { verdict: Verdict } | { problem: string } => {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    return { problem: `its answer is no JSON: ${JSON.stringify(Buffer.from(body).toString('latin1', 0, 80))}` };
  }
  const parsed = verdictSchema.safeParse(value);
  if (parsed.success) return { verdict: parsed.data };
  const issues = parsed.error.issues
    .slice(0, shownMax)
    .map(({ path, message }) => `${path.map(String).join('.').slice(0, 80) || 'it'}: ${message.slice(0, 200)}`);
  return { problem: `its answer is no verdict: ${issues.join('; ')}` };
};

/** The bytes of an input or a result. */
export const bytesOf = ({ text, base64 }: { text?: string | undefined; base64?: string | undefined }): Buffer =>
  base64 === undefined ? Buffer.from(text ?? '') : Buffer.from(base64, 'base64');

/** The published JSON Schema (draft 2020-12) of a verdict. */
export const verdictJsonSchema = (): Record<string, unknown> => ({
  ...z.toJSONSchema(verdictSchema, { io: 'input', target: 'draft-2020-12' }),
  title: 'nacelle verdict',
});
