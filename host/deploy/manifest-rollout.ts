import { z } from 'zod';
import { labelKeyPattern, labelsMax, labelValuePattern } from '../base/labels.ts';

const valuesMax = 16;
const stagesMax = 8;

const keyError = 'must be the key of a label: 1 to 63 lower-case letters, digits and "._-"';
const valueError = 'must be the value of a label, 1 to 63 letters, digits and "._:-", or a list of such values';
const value = z.string({ error: valueError }).regex(labelValuePattern, { error: valueError });
const values = z
  .union([value, z.array(value).min(1).max(valuesMax)], { error: valueError })
  .transform((one): string[] => (typeof one === 'string' ? [one] : one));
const labelsError = `must be an object of 1 to ${labelsMax} labels, as in { "region": "eu" }`;

const wantedLabels = z
  .record(z.string().regex(labelKeyPattern, { error: keyError }), values, { error: (issue) => (issue.code === 'invalid_key' ? keyError : labelsError) })
  .refine((labels) => Object.keys(labels).length >= 1 && Object.keys(labels).length <= labelsMax, { error: labelsError });

const whole = (min: number, max: number, fallback: number) => {
  const error = `must be a whole number from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error }).default(fallback);
};

const shareError = 'must be a number above 0 and at most 1';
const share = z.number({ error: shareError }).gt(0, { error: shareError }).max(1, { error: shareError });
const sharesError = `must be a list of at most ${stagesMax} shares above 0 and at most 1, each larger than the one before`;
const p99Error = 'must be a number from 1 to 86400000';

/** Labels of the edges that serve the function. */
export const edgesSchema = wantedLabels
  .optional()
  .describe('Labels of the edges that serve the function, each with one value or several. Absent: all. The origin itself serves it in any case.');

/** How a version reaches the edges. */
export const rolloutSchema = z
  .strictObject(
    {
      canary: wantedLabels.optional().describe('Labels of the edges that get a version first.'),
      shares: z
        .array(share, { error: sharesError })
        .max(stagesMax, { error: sharesError })
        .refine((shares) => shares.every((one, at) => at === 0 || one > (shares[at - 1] as number)), { error: sharesError })
        .default([0.25])
        .describe('Shares of the other edges that get it next, stage by stage. All follow after the last one.'),
      holdMs: whole(0, 2_592_000_000, 60_000).describe('How long all edges of a stage serve the version before the next stage, in milliseconds.'),
      minRequests: whole(0, 1_000_000_000, 0).describe('How many requests the version must have answered before the next stage.'),
      maxErrorShare: z
        .number({ error: 'must be a number from 0 to 1' })
        .min(0, { error: 'must be a number from 0 to 1' })
        .max(1, { error: 'must be a number from 0 to 1' })
        .default(0.05)
        .describe('Share of failed requests above which the version is taken back everywhere.'),
      maxP99Ms: z
        .number({ error: p99Error })
        .min(1, { error: p99Error })
        .max(86_400_000, { error: p99Error })
        .optional()
        .describe('99th percentile of the time to answer above which the version is taken back everywhere, in milliseconds. Absent: any.'),
      advance: z
        .enum(['auto', 'manual'], { error: 'must be "auto" or "manual"' })
        .default('auto')
        .describe('Whether the next stage begins by itself, or by "nacelle rollout advance".'),
    },
    { error: 'must be an object' },
  )
  .refine(({ canary, shares }) => canary !== undefined || shares.length > 0, {
    error: 'must have labels of canaries or a share',
    when: ({ value }) => Array.isArray((value as { shares?: unknown } | undefined)?.shares),
  })
  .optional()
  .describe('Brings a new version to the edges in stages: canaries, then shares, then all. Absent: to all at once.');

export type RolloutPlan = NonNullable<z.output<typeof rolloutSchema>>;
