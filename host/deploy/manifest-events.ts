/** The parts of a manifest that are about events: where they come from, and what follows when they fail. */
import { z } from 'zod';
import { cronProblem } from '../event/sources/cron.ts';
import { nameConstraint, namePattern } from './names.ts';

const subscriptionsMax = 32;
const topicError = 'must be 1 to 128 letters, digits, "_", "-", "." and "/"';
const patternError = 'must be a bucket, "/" and a key, or the beginning of one with "*": "orders/*"';

const whole = (min: number, max: number, fallback: number) => {
  const error = `must be a whole number from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error }).default(fallback);
};

const name = z.string({ error: nameConstraint }).regex(namePattern, { error: nameConstraint });

export const topic = z.string({ error: topicError }).regex(/^[A-Za-z0-9_][A-Za-z0-9_./-]{0,127}$/, { error: topicError });

const keyPattern = z
  .string({ error: patternError })
  .max(1200, { error: patternError })
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\/[^*\0]*\*?$/, { error: patternError })
  .refine((text) => !text.endsWith('/'), { error: patternError });

const schedule = z
  .strictObject({
    cron: z.string({ error: 'must be a cron pattern' }).max(200, { error: 'must be a cron pattern' }).describe('When: five fields, or six with seconds first.'),
    timeZone: z.string({ error: 'must be a time zone' }).max(64).default('UTC').describe('Of the pattern, as in "Europe/Berlin".'),
    catchUp: z
      .enum(['none', 'last', 'all'], { error: 'must be "none", "last" or "all"' })
      .default('last')
      .describe('What becomes of times that passed while the node did not run.'),
  })
  .superRefine(({ cron, timeZone }, context) => {
    const problem = cronProblem(cron, timeZone, Date.now());
    if (problem) context.addIssue({ code: 'custom', path: ['cron'], message: `must be a schedule that fires: ${problem}`, input: cron });
  });

const subscription = z.union(
  [
    schedule,
    z.strictObject({ topic: topic.describe('Messages sent to this topic of the tenant.') }),
    z.strictObject({ state: keyPattern.describe('Changes of these keys of a bucket of the tenant.') }),
    z.strictObject({ object: keyPattern.describe('Changes of these objects of a bucket of the tenant.') }),
  ],
  { error: 'must have one of "cron", "topic", "state" and "object"' },
);

export const events = z
  .array(subscription, { error: 'must be a list of sources' })
  .max(subscriptionsMax, { error: `must have at most ${subscriptionsMax} entries` })
  .prefault([])
  .describe('What the function is called for beside requests: schedules, topics, changes of state and of objects.');

export const onFailure = z
  .strictObject(
    {
      retries: whole(0, 10, 2).describe('Attempts after the first, of events and of requests that are answered later.'),
      backoffMs: whole(10, 3_600_000, 1000).describe('Wait before the second attempt, in milliseconds; doubled each time, half of it by chance.'),
      maxAgeMs: whole(60_000, 21_600_000, 21_600_000).describe('Age after which an event is not tried again, in milliseconds.'),
      deadLetter: name.default('default').describe('Queue of the tenant for what failed for good.'),
    },
    { error: 'must be an object' },
  )
  .optional()
  .describe('What follows when an event or a request fails.');
