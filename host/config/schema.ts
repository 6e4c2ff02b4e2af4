import { z } from 'zod';
import { labelError, labelsMax, parseLabels } from '../base/labels.ts';
import { parseAddress } from './address.ts';

const MIB = 1024 * 1024;
const DAY_MS = 86_400_000;

const whole = (min: number, max: number, fallback: number, description: string) => {
  const error = `must be a whole number from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error }).default(fallback).describe(description);
};

const address = (fallback: string, description: string) => {
  const error = 'must be a host and a port, as in "127.0.0.1:8080" or "[::1]:8080"';
  const listen = z.string({ error }).transform((text, context) => {
    const parsed = parseAddress(text);
    if (parsed) return parsed;
    context.addIssue({ code: 'custom', message: error, input: text });
    return z.NEVER;
  });
  return listen.prefault(fallback).describe(description);
};

const flag = (fallback: boolean, description: string) => z.boolean({ error: 'must be true or false' }).default(fallback).describe(description);

const rate = (fallback: number, description: string) => {
  const error = 'must be a number from 0 to 1000000';
  return z.number({ error }).min(0, { error }).max(1_000_000, { error }).default(fallback).describe(description);
};

const section = <S extends z.core.$ZodLooseShape>(shape: S) => z.strictObject(shape, { error: 'must be an object' });

const isolateConfiguration = section({
  name: z.string({ error: 'must be a name' }).regex(/^[a-z0-9][a-z0-9-]{0,62}$/, { error: 'must be 1 to 63 lower-case letters, digits and "-"' }),
  memoryMib: whole(1, 65_536, 512, 'Memory of all instances in the isolate, in MiB.'),
  bindings: z.enum(['0.2'], { error: 'must be "0.2"' }).default('0.2').describe('Host interfaces that are loaded.'),
  floor: whole(0, 4096, 2, 'Isolates that stand by for any tenant at least.'),
  ceiling: whole(1, 4096, 8, 'Isolates that stand by for any tenant at most.'),
});

const path = z.string({ error: 'must be a path' }).min(1, { error: 'must be a path' });
const domainError = 'must be a host name in lower case, as in "localhost" or "example.com"';
const domain = z.string({ error: domainError }).regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/, { error: domainError });

const originError = 'must be a URL of http or https without a path, as in "http://origin:8081"';
const originKeyError = 'must be "sha256:" and 64 hexadecimal digits';
const edgeNameError = 'must be at most 128 letters, digits and "._:-"';

/** Every setting of a node, with its default. Sizes end in their unit: MiB, or bytes. */
export const configSchema = section({
  $schema: z.string({ error: 'must be a string' }).optional(),
  http: address('127.0.0.1:8080', 'Where functions answer. Port 0: any free one.'),
  control: address('127.0.0.1:8081', 'Where the control API answers. Port 0: any free one.'),
  data: path.default('./.nacelle').describe('Directory of everything that lasts. Relative to the file that names it, or else to the working directory.'),
  domain: domain.default('localhost').describe('Functions answer at <function>.<domain>.'),
  gateways: whole(0, 256, 0, 'Threads that answer for functions. 0: one for each core.'),
  ceilings: section({
    memoryMib: whole(1, 4096, 512, 'Most memory that a manifest may ask for, in MiB.'),
    cpuMs: whole(1, 3_600_000, 30_000, 'Most CPU time of an execution that a manifest may ask for, in milliseconds.'),
    timeMs: whole(1, DAY_MS, 300_000, 'Most wall-clock time of an execution that a manifest may ask for, in milliseconds.'),
    bodyMib: whole(1, 4096, 64, 'Largest request body that a manifest may ask for, in MiB.'),
  }).prefault({}),
  modules: section({
    bytesMax: whole(1024, 1024 * MIB, 64 * MIB, 'Largest component that can be uploaded, in bytes.'),
  }).prefault({}),
  isolates: section({
    max: whole(1, 4096, 16, 'Isolates at once, in every state.'),
    slots: whole(2, 1024, 16, 'Executions at once in one isolate.'),
    instances: whole(2, 1024, 32, 'Instances kept in one isolate, idle ones included; at least isolates.slots.'),
    idleMs: whole(1, DAY_MS, 60_000, 'How long an isolate without executions is kept at least, in milliseconds.'),
    instanceIdleMs: whole(1, DAY_MS, 30_000, 'How long an idle instance in an isolate is kept at least, in milliseconds, where its manifest says nothing.'),
    whenFull: z
      .enum(['queue', 'reject'], { error: 'must be queue or reject' })
      .default('queue')
      .describe('What a request gets when there is no isolate for it: a place in the queue, or a refusal.'),
    queueMs: whole(0, DAY_MS, 5000, 'How long a request waits for an isolate at most, in milliseconds.'),
    configurations: z
      .array(isolateConfiguration, { error: 'must be a list of configurations' })
      .min(1, { error: 'must have at least one entry' })
      .max(16, { error: 'must have at most 16 entries' })
      .prefault([{ name: 'standard', memoryMib: 512, bindings: '0.2', floor: 2, ceiling: 8 }])
      .describe('Isolates that are started before anybody asks.'),
  }).prefault({}),
  fleets: section({
    resident: z
      .enum(['all', 'admin-approved', 'off'], { error: 'must be all, admin-approved or off' })
      .default('all')
      .describe('Whose functions may run in the gateway threads.'),
    windowMs: whole(100, DAY_MS, 60_000, 'Window in which the requests of a function are counted, in milliseconds.'),
    residentAbove: whole(1, 1_000_000_000, 60, 'Requests in a window above which a function moves to the gateway threads.'),
    onDemandBelow: whole(0, 1_000_000_000, 20, 'Requests in a window below which a function moves to isolates.'),
  }).prefault({}),
  deferral: section({
    periodMs: whole(1000, 365 * DAY_MS, DAY_MS, 'Period in which the load of the node repeats itself, in milliseconds.'),
    bucketMs: whole(10, DAY_MS, 900_000, 'Step in which the load is remembered, in milliseconds.'),
  }).prefault({}),
  decisions: section({
    ttlMs: whole(1000, 365 * DAY_MS, 7 * DAY_MS, 'How long decisions are kept, in milliseconds.'),
    bytesMax: whole(MIB, 1024 * 1024 * MIB, 256 * MIB, 'Size of all decisions that are kept, in bytes.'),
    sampleEvery: whole(1, 1_000_000_000, 100, 'Of executions that found an idle instance at once and went well, every how manyth is kept.'),
  }).prefault({}),
  guarantees: section({
    ttlMs: whole(1000, 365 * DAY_MS, DAY_MS, 'How long the execution of a key is remembered after its end, with its response, in milliseconds.'),
    bytesMax: whole(
      MIB,
      1024 * 1024 * MIB,
      1024 * MIB,
      'Size of all that is remembered of keys, in bytes, of which a tenant gets three quarters, or less where others use it too. Then its new keys are refused; none is forgotten early.',
    ),
    responseBytesMax: whole(1024, 16 * 1024 * MIB, 256 * MIB, 'Largest response that is kept of an execution with a key, in bytes.'),
  }).prefault({}),
  events: section({
    inFlightMax: whole(1, 4096, 128, 'Events that are delivered at once, to all functions.'),
    dedupeMs: whole(1000, 30 * DAY_MS, DAY_MS, 'How long an event is known by its source and id, so that it is not taken twice, in milliseconds.'),
    deadLetters: section({
      keepMs: whole(1000, 365 * DAY_MS, 14 * DAY_MS, 'How long a dead letter is kept, in milliseconds.'),
      itemsMax: whole(1, 1_000_000, 100_000, 'Dead letters in one queue of a tenant.'),
      bytesMax: whole(1024, 1024 * 1024 * MIB, 256 * MIB, 'Size of the dead letters in one queue of a tenant, in bytes.'),
    }).prefault({}),
  }).prefault({}),
  cache: section({
    ttlMs: whole(1, 365 * DAY_MS, 3_600_000, 'How long a prepared module is kept after its last use, in milliseconds.'),
    bytesMax: whole(MIB, 1024 * 1024 * MIB, 1024 * MIB, 'Size of the cache of prepared modules, in bytes.'),
    pinLive: flag(false, 'Keep the modules of live versions in the cache whatever their age.'),
  }).prefault({}),
  edge: section({
    origin: z
      .string({ error: originError })
      .refine((text) => text === '' || /^https?:\/\/[^/?#]+\/?$/.test(text), { error: originError })
      .default('')
      .describe('URL of the control API of the node whose functions this one serves, as its edge. Empty: it has its own.'),
    token: z.string({ error: 'must be a token' }).default('').describe('Token of the origin with the scope "edge" or "edge-secrets".'),
    originKey: z
      .string({ error: originKeyError })
      .regex(/^(sha256:[0-9a-f]{64})?$/, { error: originKeyError })
      .default('')
      .describe('Fingerprint that the key of the origin must have. Empty: the one that it had when this edge joined.'),
    name: z
      .string({ error: edgeNameError })
      .regex(/^[\w.:-]{0,128}$/, { error: edgeNameError })
      .default('')
      .describe('How the origin lists this edge. Empty: by the name of the machine.'),
    prefetch: z
      .enum(['none', 'pull', 'prepare'], { error: 'must be none, pull or prepare' })
      .default('pull')
      .describe(
        'What is done with components before they are asked for, where a manifest says nothing: nothing; fetch them, so that the edge can do without its origin; or prepare them too.',
      ),
    labels: z
      .array(z.string({ error: labelError }), { error: labelError })
      .max(labelsMax, { error: `must have at most ${labelsMax} entries` })
      .refine((texts) => parseLabels(texts) !== undefined, { error: labelError })
      .prefault([])
      .describe('What this edge is, for manifests that name such labels: ["region=eu", "tier=canary"].'),
    reportMs: whole(50, DAY_MS, 5000, 'How often the edge reports how versions fare that are being rolled out, in milliseconds.'),
    takeBack: section({
      failures: whole(0, 1_000_000, 5, 'After how many failed requests a new version is taken back: the edge serves the one before. 0: never.'),
      of: whole(1, 1_000_000, 10, 'Among how many requests, the latest, these failures are counted.'),
      trialMs: whole(0, 30 * DAY_MS, 600_000, 'How long a version counts as new at least, in milliseconds; and until so many requests were made.'),
    }).prefault({}),
    pullBytesPerSecond: whole(0, 1024 * 1024 * MIB, 0, 'Bytes a second that components are fetched with at most, all together. 0: no limit.'),
    eventsPerSecond: whole(1, 1_000_000, 500, 'Events a second that the origin is sent at most, on average, when it is back.'),
  }).prefault({}),
  edges: section({
    max: whole(1, 1_000_000, 10_000, 'Edges of this node that are remembered at most.'),
    forgetMs: whole(
      60_000,
      3650 * DAY_MS,
      30 * DAY_MS,
      'How long an edge is remembered that is not heard of, in milliseconds; one that was removed stays refused.',
    ),
  }).prefault({}),
  store: section({
    bytesMax: whole(MIB, 16 * 1024 * 1024 * MIB, 16 * 1024 * MIB, 'Size that the store may reach, in bytes.'),
    bucketBytesMax: whole(1024, 16 * 1024 * 1024 * MIB, 1024 * MIB, 'Size that one bucket of a tenant may reach, its keys and values together, in bytes.'),
    requestTtlMs: whole(
      1000,
      3650 * DAY_MS,
      30 * DAY_MS,
      'How long the values of a resource that requests name (`by: request`) are kept after one of them was last written, in milliseconds.',
    ),
  }).prefault({}),
  objects: section({
    rates: section({
      storageGibMonth: rate(0.023, 'Price of keeping 1 GiB for 30 days (default: list price of object storage of large clouds).'),
      cpuHour: rate(0.04048, 'Price of one processor for an hour (default: list price of containers by the second in large clouds).'),
      memoryGibHour: rate(0.004445, 'Price of 1 GiB of memory for an hour (default: as for processors).'),
      readGib: rate(0, 'Price of reading 1 GiB of sources (default: none on the same node).'),
      write: rate(0.000005, 'Price of writing one object (default: list price of object storage of large clouds).'),
    })
      .prefault({})
      .describe('What keeping and computing objects costs, in any currency; 0 for what is free.'),
    reviewMs: whole(
      100,
      DAY_MS,
      60_000,
      'How often stored objects that can be computed are looked at for whether they are still worth their room, in milliseconds.',
    ),
    graceMs: whole(
      1000,
      DAY_MS,
      300_000,
      'How long the bytes of an object are kept after it was removed, for those who are reading them, and those of a computed one for the next request, in milliseconds.',
    ),
    cachedBytesMax: whole(
      0,
      16 * 1024 * 1024 * MIB,
      1024 * MIB,
      'Room on disk, within graceMs, for bytes of computed objects that are not kept and may be asked for again, in bytes; the longest unused go first.',
    ),
    objectBytesMax: whole(1024, 16 * 1024 * 1024 * MIB, 5 * 1024 * MIB, 'Largest object, in bytes.'),
    quotaBytes: whole(
      1024,
      16 * 1024 * 1024 * MIB,
      16 * 1024 * MIB,
      'Size that all objects of a bucket may reach together where its own settings say nothing, in bytes.',
    ),
  }).prefault({}),
  logs: section({
    level: z
      .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], { error: 'must be trace, debug, info, warn, error, fatal or silent' })
      .default('info')
      .describe("Least level of the node's own log."),
    linesMax: whole(1, 1_000_000, 1000, 'Lines that are kept of each function, the latest.'),
    bytesMax: whole(1024, 1024 * MIB, MIB, 'Bytes of lines that are kept of each function, the latest.'),
    allBytesMax: whole(MIB, 1024 * 1024 * MIB, 256 * MIB, 'Bytes of lines that are kept of all functions together.'),
  }).prefault({}),
});

type Parsed = z.output<typeof configSchema>;

/** The settings of a node, checked and complete: `gateways` is at least 1 and `data` is an absolute path. */
export type NodeConfig = Omit<Parsed, '$schema'>;

/** Settings as a file has them. */
export type ConfigFile = z.input<typeof configSchema>;
