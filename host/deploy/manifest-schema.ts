import { z } from 'zod';
import { events, onFailure, onResult, topic } from './manifest-events.ts';
import { edgesSchema, rolloutSchema } from './manifest-rollout.ts';
import { digestPattern, nameConstraint, namePattern } from './names.ts';
import { formatRoute, parseRoute } from './route.ts';
import { sessionSchema, sharedSchema } from './shared-schema.ts';

const settingsMax = 256;
const valueCharactersMax = 32_768;
const variablePattern = /^[A-Za-z_][A-Za-z0-9_.-]{0,127}$/;
const hostPattern = /^(\*|([A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?)$/;

const whole = (min: number, max: number, fallback: number) => {
  const error = `must be a whole number from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error }).default(fallback);
};

const variableError = 'must be 1 to 128 letters, digits, "_", "." and "-", starting with a letter or "_"';
const variable = z.string({ error: variableError }).regex(variablePattern, { error: variableError });

const valueError = `must be a string of at most ${valueCharactersMax} characters without NUL`;
const value = z
  .string({ error: valueError })
  .max(valueCharactersMax, { error: valueError })
  .regex(/^[^\0]*$/, { error: valueError });

const settingsError = `must be an object of at most ${settingsMax} strings`;
const settings = z
  .record(variable, value, { error: (issue) => (issue.code === 'invalid_key' ? variableError : settingsError) })
  .refine((record) => Object.keys(record).length <= settingsMax, { error: settingsError })
  .prefault({});

const route = z.string({ error: 'must be a string: a host, a path that begins with "/", or both' }).transform((text, context) => {
  const pattern = parseRoute(text);
  if (typeof pattern !== 'string') return formatRoute(pattern);
  context.addIssue({ code: 'custom', message: `must be a route: ${pattern}`, input: text });
  return z.NEVER;
});

const unique = (items: readonly string[]): boolean => new Set(items).size === items.length;

const list = <S extends z.ZodType<string, string>>(item: S, max: number, what: string) =>
  z
    .array(item, { error: `must be a list of ${what}` })
    .max(max, { error: `must have at most ${max} entries` })
    .refine(unique, { error: 'must not name the same twice', when: ({ value }) => Array.isArray(value) })
    .prefault([]);

const hostError = 'must be a host, a host and port ("api.example.com:443") or "*"';
const outboundHost = z
  .string({ error: hostError })
  .max(260, { error: hostError })
  .regex(hostPattern, { error: hostError })
  .refine((text) => Number(/:(\d+)$/.exec(text)?.[1] ?? 1) <= 65_535, { error: 'must have a port up to 65535' })
  .transform((text) => text.toLowerCase());

const limits = z
  .strictObject(
    {
      memoryMib: whole(1, 4096, 64).describe('Memory of one instance, in MiB.'),
      cpuMs: whole(1, 3_600_000, 500).describe('CPU time of one execution, in milliseconds.'),
      timeMs: whole(1, 86_400_000, 10_000).describe('Wall-clock time of one execution, in milliseconds.'),
      bodyMib: whole(1, 4096, 8).describe('Size of a request body, in MiB.'),
      concurrency: whole(1, 1000, 100).describe('Executions at once in one gateway thread.'),
    },
    { error: 'must be an object' },
  )
  .prefault({});

const bucketsMax = 64;
const bucketNameError = 'must be at most 128 characters without NUL';
const bucketName = z
  .string()
  .max(128, { error: bucketNameError })
  .regex(/^[^\0]*$/, { error: bucketNameError })
  .refine((text) => text.isWellFormed(), { error: bucketNameError });

const bucketLabel = z.string({ error: nameConstraint }).regex(namePattern, { error: nameConstraint });

const bucketsError = `must be an object of at most ${bucketsMax} names of buckets`;
const buckets = z
  .record(bucketName, z.string({ error: nameConstraint }).regex(namePattern, { error: nameConstraint }), {
    error: (issue) => (issue.code === 'invalid_key' ? bucketNameError : bucketsError),
  })
  .refine((record) => Object.keys(record).length <= bucketsMax, { error: bucketsError })
  .prefault({});

const capabilities = z
  .strictObject(
    {
      http: list(outboundHost, 64, 'hosts').describe('Hosts that outgoing requests may go to: "host", "host:port" or "*".'),
      filesystem: z
        .strictObject(
          {
            scratch: z
              .boolean({ error: 'must be true or false' })
              .default(false)
              .describe('A scratch directory in memory, mounted at `/`, empty at the start of each execution, of at most 64 MiB.'),
          },
          { error: 'must be an object' },
        )
        .prefault({}),
      objects: list(bucketLabel, 64, 'names').describe('Buckets of objects that wasi:blobstore may open, by their own names.'),
      messaging: list(topic, 64, 'topics').describe('Topics of the tenant that wasi:messaging may send to.'),
      keyvalue: buckets.describe('Buckets of the tenant that wasi:keyvalue may open, by the names under which the guest opens them.'),
    },
    { error: 'must be an object' },
  )
  .prefault({});

const capacity = z
  .strictObject(
    {
      fleet: z
        .enum(['auto', 'resident', 'on-demand'], { error: 'must be "auto", "resident" or "on-demand"' })
        .default('auto')
        .describe('Where the function runs: in the gateway threads, in isolates, or where its volume puts it.'),
      prewarm: whole(0, 64, 0).describe('Instances that are made ready in isolates before anybody asks.'),
      prefetch: z
        .enum(['none', 'pull', 'prepare'], { error: 'must be "none", "pull" or "prepare"' })
        .optional()
        .describe(
          'What edges do with the component before it is asked for: nothing, fetch it, or prepare it too. Default: what each edge does (`edge.prefetch`).',
        ),
      idleMs: whole(0, 86_400_000, 60_000).describe('How long an idle instance is kept, in milliseconds.'),
      whenExhausted: z
        .enum(['overflow', 'queue', 'reject'], { error: 'must be "overflow", "queue" or "reject"' })
        .default('overflow')
        .describe("What a request gets when all of the tenant's reserved isolates are busy: the common pool, a place in the queue, or a refusal."),
      deferMaxMs: whole(0, 604_800_000, 0).describe('How long an execution may be put off until a time of low load, in milliseconds. 0: not at all.'),
    },
    { error: 'must be an object' },
  )
  .prefault({});

const sidecarsMax = 16;
const filesMax = 16;
/** All files of one sidecar together. */
const fileBytesMax = 65_536;
const fileNameError = 'must be 1 to 64 letters, digits, "_", "." and "-", not starting with "."';
const fileError = `must be at most ${filesMax} files in base64, ${fileBytesMax} bytes together`;
const base64Bytes = (text: string): number => (text.length / 4) * 3 - (text.endsWith('==') ? 2 : Number(text.endsWith('=')));
const files = z
  .record(
    z.string({ error: fileNameError }).regex(/^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$/, { error: fileNameError }),
    z
      .string({ error: fileError })
      .max(fileBytesMax * 2, { error: fileError })
      .regex(/^[A-Za-z0-9+/]*={0,2}$/, { error: fileError })
      .refine((text) => text.length % 4 === 0, { error: fileError }),
    { error: (issue) => (issue.code === 'invalid_key' ? fileNameError : fileError) },
  )
  .refine((record) => Object.keys(record).length <= filesMax && Object.values(record).reduce((sum, text) => sum + base64Bytes(text), 0) <= fileBytesMax, {
    error: fileError,
  })
  .prefault({});

const usePattern = /^([a-z]([a-z0-9-]{0,61}[a-z0-9])?)(@\d{1,9}(\.\d{1,9}){0,2})?$/;
const useError = 'must be the name of a sidecar, with a version if need be: "access-log", "access-log@1", "access-log@1.2.0"';

const sidecar = z.strictObject(
  {
    use: z.string({ error: useError }).regex(usePattern, { error: useError }).describe('A sidecar of the library: "name", "name@1" or "name@1.2.0".'),
    provides: z
      .string({ error: 'must be the name of an interface' })
      .max(256, { error: 'must be the name of an interface' })
      .optional()
      .describe('The only interface that it is to provide, where several sidecars could.'),
    scope: z
      .enum(['execution', 'function', 'tenant'], { error: 'must be "execution", "function" or "tenant"' })
      .default('execution')
      .describe('Who shares an instance: nobody, the executions of this function, or those of all functions of the tenant that use it.'),
    config: settings.describe('Settings of a sidecar that was added with --agent.'),
    files: files.describe(
      'Read-only files in the scratch directory of a sidecar that was added with --agent, by their names: paths from the folder of the manifest, which the command line reads; in base64 where the API is called.',
    ),
    secrets: list(variable, 64, 'names').describe(
      'Names of secrets that it is given among its settings, and the function is not; their values are put with "nacelle secrets put FN SIDECAR/NAME".',
    ),
    required: z.boolean({ error: 'must be true or false' }).default(true).describe('Whether an execution fails if the sidecar does not get ready.'),
    graceMs: whole(1, 60_000, 500).describe('How long each of its calls after the start may take, in milliseconds.'),
    readyMs: whole(1, 60_000, 2_000).describe('How long it may take to get ready, in milliseconds.'),
    onMainChange: z
      .enum(['follow', 'stay'], { error: 'must be "follow" or "stay"' })
      .default('follow')
      .describe('Whether a shared instance ends with the version of the function that it was started for, or serves the next one.'),
    when: z
      .enum(['always', 'used', 'debug'], { error: 'must be "always", "used" or "debug"' })
      .default('always')
      .describe('"used": started at once only if the execution before used it; "debug": only for requests that ask for it.'),
    capabilities: z
      .strictObject({ http: list(outboundHost, 64, 'hosts'), keyvalue: buckets }, { error: 'must be an object' })
      .prefault({})
      .describe("What it may reach. It has none of the function's grants, nor the function any of its."),
    limits: z
      .strictObject(
        {
          memoryMib: whole(1, 4096, 16).describe('Memory of one instance, in MiB.'),
          cpuMs: whole(1, 3_600_000, 500).describe('CPU time in one execution, in milliseconds.'),
        },
        { error: 'must be an object' },
      )
      .prefault({}),
  },
  { error: 'must be an object' },
);

/** The sidecars of a function, or of all functions of a tenant. */
export const sidecarsSchema = z
  .array(sidecar, { error: 'must be a list of sidecars' })
  .max(sidecarsMax, { error: `must have at most ${sidecarsMax} entries` })
  .prefault([]);

export type SidecarUse = z.output<typeof sidecar>;
const guarantee = z
  .strictObject(
    {
      runs: whole(1, 1000, 1).describe('How many executions with one key take effect. Further requests get the response of the last.'),
      retries: whole(0, 100, 3).describe('How often an execution is begun again after it failed; nothing of a failed one is kept.'),
      leaseMs: whole(1000, 3_600_000, 30_000).describe('An execution whose thread is not heard of for so long is begun again, in milliseconds.'),
      outbound: z
        .enum(['refuse', 'allow'], { error: 'must be "refuse" or "allow"' })
        .default('refuse')
        .describe('Whether the function may send requests, which cannot be taken back. "allow": the guarantee excludes them.'),
    },
    { error: 'must be an object' },
  )
  .optional();

const digestError = 'must be the digest of an uploaded module, "sha256:" and 64 hexadecimal digits';

/** Every key, with its default. */
export const manifestSchema = z.strictObject(
  {
    $schema: z.string({ error: 'must be a string' }).optional().describe('Where an editor finds the schema of this file.'),
    name: z.string({ error: nameConstraint }).regex(namePattern, { error: nameConstraint }).describe('Name of the function in its tenant.'),
    component: z
      .string({ error: 'must be a path' })
      .min(1, { error: 'must be a path' })
      .max(4096, { error: 'must be a path' })
      .optional()
      .describe('Path of the component, from the folder of this file.'),
    source: z
      .string({ error: 'must be a path' })
      .min(1, { error: 'must be a path' })
      .max(4096, { error: 'must be a path' })
      .optional()
      .describe('Path of a TypeScript or JavaScript module that is built when it is deployed, in place of "component".'),
    module: z
      .string({ error: digestError })
      .regex(digestPattern, { error: digestError })
      .optional()
      .describe('Digest of an uploaded module, in place of "component".'),
    routes: list(route, 64, 'routes').describe('Hosts, paths or both that the function answers at, beside its default routes.'),
    limits,
    instance: z
      .enum(['pristine', 'reuse'], { error: 'must be "pristine" or "reuse"' })
      .default('pristine')
      .describe('Whether an execution starts from fresh state or from that of the one before.'),
    trust: z
      .enum(['shared', 'isolated'], { error: 'must be "shared" or "isolated"' })
      .default('shared')
      .describe('Whether the function may run in a thread that serves other tenants.'),
    env: settings.describe('Environment variables of the guest.'),
    config: settings.describe('Values for wasi:config.'),
    secrets: list(variable, 64, 'names').describe('Names of secrets that wasi:config gives too; their values are put with "nacelle secrets put".'),
    capabilities,
    sidecars: sidecarsSchema.describe('Components that are linked with the function: in front of it, beside it, or underneath.'),
    shared: sharedSchema.describe('What executions share: regions of memory, buckets and locks.'),
    session: sessionSchema.describe('Groups executions by what their requests say. Absent: there are no sessions.'),
    guarantee: guarantee.describe('Executions whose request has an "idempotency-key" take effect exactly so often. Absent: the key just reaches the guest.'),
    events,
    onFailure,
    onResult,
    capacity,
    edges: edgesSchema,
    rollout: rolloutSchema,
  },
  { error: 'must be an object' },
);

/** A manifest with all defaults set. */
export type Manifest = z.output<typeof manifestSchema>;
/** A manifest as a user writes it. */
export type ManifestInput = z.input<typeof manifestSchema>;

/** The published JSON Schema (draft 2020-12) of a manifest file. */
export const manifestJsonSchema = (): Record<string, unknown> => ({
  ...z.toJSONSchema(manifestSchema, { io: 'input', target: 'draft-2020-12' }),
  title: 'nacelle manifest',
});
