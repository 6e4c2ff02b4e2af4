/** The parts of a manifest that are about events: where they come from, and what follows when they fail. */
import { z } from 'zod';
import { cronProblem } from '../event/sources/cron.ts';
import { nameConstraint, namePattern } from './names.ts';

const subscriptionsMax = 32;
const rulesMax = 16;
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

const at = z
  .literal('origin', { error: 'must be "origin"' })
  .optional()
  .describe('Where the function gets them: what happens at an edge is kept there until its origin has taken it. Default: where it happens.');

const subscription = z.union(
  [
    schedule,
    z.strictObject({ topic: topic.describe('Messages sent to this topic of the tenant.'), at }),
    z.strictObject({ state: keyPattern.describe('Changes of these keys of a bucket of the tenant.'), at }),
    z.strictObject({ object: keyPattern.describe('Changes of these objects of a bucket of the tenant.'), at }),
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
      control: name.optional().describe('Function of the tenant that is asked what is to follow a failure.'),
      verdict: z
        .enum(['double-memory', 'rollback'], { error: 'must be "double-memory" or "rollback"' })
        .optional()
        .describe('What follows without a function: once twice the memory after it ran out, or the version before when a new one fails.'),
      rollback: z
        .strictObject({ failures: whole(1, 1000, 3), of: whole(1, 1000, 20) }, { error: 'must be an object' })
        .refine(({ failures, of }) => failures <= of, { error: 'must have at most as many "failures" as it has in "of"' })
        .optional()
        .describe('For the verdict "rollback": so many failed executions among so many first ones of a new version. Default: 3 of 20.'),
    },
    { error: 'must be an object' },
  )
  .optional()
  .describe('What follows when an event or a request fails.');

const pathError = 'must be the path of a field, as in "order.state"';
const condition = z
  .strictObject(
    {
      status: z
        .string({ error: 'must be a status or a class: "404", "5xx"' })
        .regex(/^[1-5](xx|\d\d)$/, { error: 'must be a status or a class: "404", "5xx"' })
        .optional()
        .describe('Status of the response, or its class.'),
      header: z
        .record(z.string().max(128), z.string().max(1024), { error: 'must be an object of at most 16 strings' })
        .refine((headers) => Object.keys(headers).length <= 16, { error: 'must be an object of at most 16 strings' })
        .optional()
        .describe('Headers of the response with these values.'),
      json: z
        .record(z.string().min(1, { error: pathError }).max(256, { error: pathError }), z.union([z.string().max(1024), z.number(), z.boolean(), z.null()]), {
          error: 'must be an object of at most 16 values',
        })
        .refine((fields) => Object.keys(fields).length <= 16, { error: 'must be an object of at most 16 values' })
        .optional()
        .describe('Fields of its JSON body with these values, as paths: "order.state".'),
    },
    { error: 'must be an object' },
  )
  .refine((when) => Object.values(when).some((part) => part !== undefined), { error: 'must have one of "status", "header" and "json"' });

export const onResult = z
  .array(
    z.strictObject({ when: condition, control: name.describe('Function of the tenant that is asked what is to follow.') }, { error: 'must be an object' }),
    {
      error: 'must be a list of rules',
    },
  )
  .max(rulesMax, { error: `must have at most ${rulesMax} entries` })
  .optional()
  .describe('Responses that are no failure and yet not what is expected. The first rule that a response meets counts.');
