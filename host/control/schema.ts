import { z } from '@hono/zod-openapi';
import { type ManifestInput, manifestJsonSchema } from '../deploy/manifest-schema.ts';
import { digestPattern, nameConstraint, namePattern } from '../deploy/names.ts';
import { parseScope, scopeConstraint } from '../deploy/scope.ts';

const listMax = 200;
const listDefault = 100;

const wholeText = (min: number, max: number, fallback: number) => {
  const error = `must be a whole number from ${min} to ${max}`;
  return z
    .string()
    .regex(/^\d{1,15}$/, { error })
    .refine((text) => Number(text) >= min && Number(text) <= max, { error })
    .default(String(fallback))
    .transform(Number)
    .openapi({ type: 'integer', minimum: min, maximum: max, default: fallback });
};

export const name = z.string().regex(namePattern, { error: nameConstraint });
export const digest = z.string().regex(digestPattern, { error: 'must be "sha256:" and 64 hexadecimal digits' });
/** RFC 3339, in UTC. */
export const time = z.iso.datetime();

/** Names the tenant, where it is not the token's own. */
const tenant = name.optional().openapi({ description: "The tenant, where it is not the token's own." });

/** The query of an endpoint of one tenant: unknown keys are refused. */
export const tenantQuery = <S extends z.ZodRawShape>(shape: S) => z.strictObject({ tenant, ...shape });

export const page = {
  limit: wholeText(1, listMax, listDefault),
  cursor: z.string().max(4096).optional().openapi({ description: 'The "next" of the page before.' }),
};

export const listOf = <S extends z.ZodType>(item: S) => z.object({ items: z.array(item), next: z.string().optional() });

export const problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number(),
    code: z.string(),
    detail: z.string(),
    remedy: z.string(),
    problems: z.array(z.string()).optional(),
  })
  .openapi('Problem');

export const moduleView = z
  .object({
    digest,
    bytes: z.number(),
    imports: z.array(z.string()),
    exports: z.array(z.string()),
    unrestorable: z.array(z.string()).openapi({ description: 'Why instances are made anew for each execution; empty if they can be reset.' }),
    uploadedAt: time,
  })
  .openapi('Module');

export const sidecarView = z
  .object({
    name,
    version: z.string(),
    tenant: name.openapi({ description: 'Who added it.' }),
    digest,
    bytes: z.number(),
    kinds: z.array(z.enum(['middleware', 'provider', 'companion'])),
    imports: z.array(z.string()),
    exports: z.array(z.string()),
    from: z.enum(['image', 'agent']),
    settings: z.array(z.string()).openapi({ description: 'Names of the settings that an image has with it.' }),
    debug: z.boolean(),
    public: z.boolean(),
    createdAt: time,
    usedBy: z.array(z.string()).openapi({ description: "The tenant's functions that link it, as name@version." }),
    usedByOthers: z.number().openapi({ description: 'Functions of other tenants that do.' }),
    instances: z
      .array(z.object({ id: z.string(), isolate: z.number(), scope: z.string(), usedBy: z.array(z.string()) }))
      .openapi({ description: 'Instances that executions share, and whose.' }),
  })
  .openapi('Sidecar');

/** Who provides which interface to whom: `from` imports it of `to`; the function itself is called by its name. */
const compositionView = z
  .object({
    chain: z.array(z.string()).openapi({ description: 'Through whom a request goes, the function last.' }),
    links: z.array(z.object({ from: z.string(), interface: z.string(), to: z.string() })),
    sidecars: z.array(
      z.object({
        name,
        version: z.string(),
        kinds: z.array(z.string()),
        scope: z.string(),
        from: z.string(),
        why: z.string(),
        when: z.string(),
        required: z.boolean(),
      }),
    ),
  })
  .openapi('Composition');

const weighted = z.object({ version: z.number(), weight: z.number() });

export const functionView = z
  .object({
    name,
    tenant: name,
    live: z.array(weighted),
    staged: z.number().nullable().openapi({ description: 'The version that a rollout brings to the edges.' }),
    routes: z.array(z.string()),
    urls: z.array(z.string()),
    createdAt: time,
    updatedAt: time,
  })
  .openapi('Function');

export const versionView = z
  .object({
    version: z.number(),
    digest,
    createdAt: time,
    weight: z.number().openapi({ description: 'Share of requests in percent; 0 when not live.' }),
    staged: z.boolean().openapi({ description: 'A rollout brings it to the edges.' }),
    takenBack: z.array(z.string()).openapi({ description: 'Names of edges that serve the version before it, since it failed there.' }),
  })
  .openapi('Version');

export const secretView = z
  .object({ name: z.string(), updatedAt: time, used: z.boolean().openapi({ description: 'The live version names it.' }) })
  .openapi('Secret');

const settable = z.union([z.string(), z.number()]);
const functionChange = z
  .object({
    at: time,
    version: z.number(),
    what: z.string().openapi({ description: 'A key of the manifest, or "live".' }),
    from: settable.nullable(),
    to: settable,
    by: z.string().openapi({ description: 'A function, or the name of a built-in verdict.' }),
    reason: z.string(),
    execution: z.string().openapi({ description: 'The one that was judged.' }),
  })
  .openapi('FunctionChange');

export const functionDetail = functionView
  .extend({
    previous: z.number().nullable().openapi({ description: 'Where a rollback goes.' }),
    version: versionView,
    module: moduleView,
    manifest: z.record(z.string(), z.unknown()),
    secrets: z.array(secretView),
    missingSecrets: z.array(z.string()).openapi({ description: 'Named by the live version, and without a value.' }),
    composition: compositionView.nullable().openapi({ description: 'Its sidecars; null if it has none.' }),
    denied: z.array(z.string()).openapi({ description: 'Imported, and not granted by the manifest: calls of them fail.' }),
    changes: z.array(functionChange).openapi({ description: 'What verdicts have changed of it, the oldest first, at most 20.' }),
  })
  .openapi('FunctionDetail');

export const deployed = z
  .object({
    name,
    tenant: name,
    version: z.number(),
    digest,
    staged: z.boolean().openapi({ description: 'A rollout brings it to the edges; until then the version before it is live.' }),
    routes: z.array(z.string()),
    urls: z.array(z.string()),
    missingSecrets: z.array(z.string()),
    denied: z.array(z.string()),
  })
  .openapi('Deployed');

/** Checked by `parseManifest`, which lists every problem at once. */
export const manifest = z.custom<ManifestInput & { module: string }>(() => true).openapi('Manifest', manifestJsonSchema() as object);

export const tenantLimits = z.strictObject({
  memoryMib: z.int().min(1).optional().openapi({ description: 'Memory of one instance, in MiB.' }),
  cpuMs: z.int().min(1).optional().openapi({ description: 'CPU time of one execution, in milliseconds.' }),
  timeMs: z.int().min(1).optional().openapi({ description: 'Wall-clock time of one execution, in milliseconds.' }),
  prewarm: z.int().min(0).max(64).optional().openapi({ description: 'Instances that are made ready before anybody asks.' }),
});

export const tenantView = z
  .object({
    name,
    routes: z.array(z.string()),
    state: z.enum(['active', 'suspended']),
    limits: tenantLimits.openapi({ description: 'The most that one of its functions may have, where that is less than on the node.' }),
    createdAt: time,
  })
  .openapi('Tenant');

export const reservationView = z
  .object({ tenant: name, isolates: z.number(), functions: z.array(name), configuration: z.string(), tenants: z.array(name) })
  .openapi('Reservation');

export const decisionView = z
  .object({
    at: time,
    kind: z.string(),
    subject: z.string().openapi({ description: 'An execution, version, isolate, pool, function or object.' }),
    tenant: name.nullable(),
    choice: z.string(),
    inputs: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
    passedOver: z.array(z.object({ candidate: z.string(), reason: z.string() })),
  })
  .openapi('Decision');

export const scope = z.string().refine((text) => parseScope(text) !== undefined, { error: scopeConstraint });

export const tokenView = z
  .object({ id: z.string(), scopes: z.array(z.string()), note: z.string().nullable(), createdAt: time, expiresAt: time.nullable() })
  .openapi('Token');

export const logLine = z
  .object({
    sequence: z.number(),
    at: time,
    execution: z.string(),
    version: z.number(),
    stream: z.enum(['stdout', 'stderr', 'log', 'node']),
    level: z.string().optional(),
    text: z.string(),
  })
  .openapi('LogLine');

export const decisionCount = wholeText(1, 10_000, listDefault);
export const logCount = wholeText(1, 10_000, listDefault);
export const sequence = wholeText(0, Number.MAX_SAFE_INTEGER, 0);
