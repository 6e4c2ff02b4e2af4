import { z } from '@hono/zod-openapi';
import { isBase64 } from '../base/base64.ts';
import { isAttribute } from '../event/cloud-event.ts';
import { name, time } from './schema.ts';

const otherLimits = z.object({ memoryMib: z.number().optional(), cpuMs: z.number().optional(), timeMs: z.number().optional() });

const judgedView = z
  .object({
    verdict: z.enum(['retry', 'rollback', 'dead-letter', 'drop', 'complete', 'default']),
    by: z.string().openapi({ description: 'A function, or the name of a built-in verdict.' }),
    reason: z.string(),
    execution: z.string().optional().openapi({ description: 'That of the control function.' }),
    notes: z.array(z.string()).optional().openapi({ description: 'What of the verdict was lowered or refused, or changed besides.' }),
  })
  .openapi('Judged');

export const attemptView = z
  .object({
    attempt: z.number(),
    version: z.number(),
    startedAt: time,
    endedAt: time,
    code: z.string().nullable(),
    message: z.string().optional(),
    isolate: z.number().optional(),
    log: z.array(z.string()).optional().openapi({ description: 'The last lines that the execution logged.' }),
    change: z
      .object({ version: z.number().optional(), limits: otherLimits.optional() })
      .optional()
      .openapi({ description: 'By what it was run in place of the live version and its limits.' }),
    judged: judgedView.optional(),
  })
  .openapi('Attempt');

const trigger = z.enum(['http', 'event', 'topic', 'cron', 'state', 'object']);

const at = z.literal('origin').optional().openapi({ description: 'Of an edge: to be delivered at its origin.' });

export const eventView = z
  .object({
    id: z.string(),
    function: name,
    at,
    trigger,
    state: z.enum(['waiting', 'leased']).openapi({ description: '"leased": it is being delivered.' }),
    arrivedAt: time,
    dueAt: time.openapi({ description: 'When it is or was to be delivered next.' }),
    attempts: z.number(),
    putOff: z
      .object({ code: z.string(), message: z.string(), times: z.number(), since: time })
      .optional()
      .openapi({ description: 'Why it was not run when it was its turn, how often in a row, and since when. That is no attempt.' }),
    hops: z.number(),
    orderingKey: z.string().optional(),
    bytes: z.number(),
    contentType: z.string().nullable(),
  })
  .openapi('Event');

export const eventDetail = eventView
  .extend({ method: z.string(), path: z.string(), headers: z.array(z.tuple([z.string(), z.string()])), tries: z.array(attemptView) })
  .openapi('EventDetail');

export const acceptedView = z
  .object({ event: z.string().openapi({ description: "The event's own id." }), function: name, id: z.string(), duplicate: z.boolean() })
  .openapi('AcceptedEvent');

export const deadLetterView = z
  .object({
    id: z.string(),
    queue: name,
    function: name,
    version: z.number(),
    requestId: z.string(),
    errorCode: z.string(),
    errorMessage: z.string(),
    attempts: z.number(),
    arrivedAt: time,
    failedAt: time,
    bytes: z.number(),
    contentType: z.string().nullable(),
    orderingKey: z.string().optional(),
    trigger,
    synchronous: z.boolean(),
  })
  .openapi('DeadLetter');

export const deadLetterDetail = deadLetterView
  .extend({ hops: z.number(), method: z.string(), path: z.string(), headers: z.array(z.tuple([z.string(), z.string()])), tries: z.array(attemptView) })
  .openapi('DeadLetterDetail');

export const queueView = z
  .object({
    function: name,
    at,
    messages: z.number().openapi({ description: 'At least so many until `exact`, some seconds after the start of the node.' }),
    leased: z.number(),
    exact: z.boolean(),
    oldestDueAt: time.optional().openapi({ description: 'When the first that waits was or will be due.' }),
  })
  .openapi('EventQueue');

export const deadLetterQueueView = z
  .object({
    name,
    items: z.number(),
    bytes: z.number(),
    nearlyFull: z.boolean(),
    keepMs: z.number().openapi({ description: 'How long a dead letter is kept there.' }),
    itemsMax: z.number(),
    bytesMax: z.number(),
  })
  .openapi('DeadLetterQueue');

export const deadLetterQueueLimits = z.strictObject({
  keepMs: z.int().min(1000).optional(),
  itemsMax: z.int().min(1).optional(),
  bytesMax: z.int().min(1024).optional(),
});

const otherFunction = name.optional().openapi({ description: 'Another function than the one that failed.' });
const versionDescription = 'A version that is not live.';
const otherContentType = z
  .string()
  .max(256)
  .refine((text) => isAttribute('datacontenttype', text), { error: 'must be a media type' })
  .optional()
  .openapi({ description: 'Of the payload, in place of the one that came.' });

export const redrive = z.strictObject({
  function: otherFunction,
  version: z.int().min(1).optional().openapi({ description: versionDescription }),
  body: z
    .string()
    .refine(isBase64, { error: 'must be base64' })
    .optional()
    .openapi({ format: 'byte', description: 'A payload in place of the one that came, in base64. A large one is sent to `…/redrive/payload`.' }),
  contentType: otherContentType,
  dryRun: z.boolean().default(false),
});

/** The same in a query, beside a payload as it is. */
export const redriveQuery = {
  function: otherFunction,
  version: z
    .string()
    .regex(/^[1-9]\d{0,14}$/, { error: 'must be a version' })
    .transform(Number)
    .optional()
    .openapi({ type: 'integer', description: versionDescription }),
  contentType: otherContentType,
};

export const redriven = z
  .object({
    id: z.string(),
    function: name,
    version: z.number(),
    dryRun: z.boolean(),
    succeeded: z.boolean().optional(),
    attempts: z.number().optional(),
    code: z.string().optional(),
    message: z.string().optional(),
  })
  .openapi('Redriven');
