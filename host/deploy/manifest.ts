import { Problem } from '../base/errors.ts';
import { type Manifest, manifestSchema } from './manifest-schema.ts';
import type { TenantLimits, TenantRecord } from './model.ts';

/** The most that a manifest may set: on this node (node.jsonc, "ceilings"), and for its tenant where that is less. `tenants`: which of them are the tenant's. */
export type Ceilings = { memoryMib: number; cpuMs: number; timeMs: number; bodyMib: number; prewarm?: number; tenants?: ReadonlySet<string> };

const ceilingNames = ['memoryMib', 'cpuMs', 'timeMs', 'bodyMib'] as const;

export const ceilingsFor = (ceilings: Ceilings, tenant: Pick<TenantRecord, 'limits'> | undefined): Ceilings => {
  const lower = Object.entries(tenant?.limits ?? {}).filter(
    ([key, most]) => most !== undefined && most < (ceilings[key as keyof TenantLimits] ?? Number.POSITIVE_INFINITY),
  );
  return lower.length === 0 ? ceilings : { ...ceilings, ...Object.fromEntries(lower), tenants: new Set(lower.map(([key]) => key)) };
};

const shownMax = 80;
const problemsMax = 100;

/** A value for a message: JSON, cut to a bearable length. */
const shown = (value: unknown): string => {
  const text = value === undefined ? 'nothing' : (JSON.stringify(value) ?? typeof value);
  return text.length > shownMax ? `${text.slice(0, shownMax)}…` : text;
};

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

const ownValue = (value: unknown, key: PropertyKey): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? (value as Record<PropertyKey, unknown>)[key] : undefined;

const valueAt = (input: unknown, path: readonly PropertyKey[]): unknown => path.reduce(ownValue, input);

/** `limits.memoryMib` is called `memoryMib`, as ceilings are. */
const keyName = (path: readonly PropertyKey[]): string => {
  const parts = path[0] === 'limits' && path.length > 1 ? path.slice(1) : path;
  return (
    parts.map((part, index) => (typeof part === 'number' ? `[${part}]` : `${index > 0 ? '.' : ''}${String(part).slice(0, shownMax)}`)).join('') ||
    'the manifest'
  );
};

type Issue = { code: string; path: readonly PropertyKey[]; message: string; keys?: readonly string[]; issues?: readonly { message: string }[] };

const issueProblems = (input: unknown, of: string, issue: Issue): string[] => {
  if (issue.code === 'unrecognized_keys') return (issue.keys ?? []).map((key) => `cannot set ${keyName([...issue.path, key])}${of}: there is no such key`);
  if (issue.code === 'invalid_key') return [`cannot set ${keyName(issue.path)}${of}: its name ${issue.issues?.[0]?.message ?? issue.message}`];
  return [`cannot set ${keyName(issue.path)}${of}: ${issue.message}, got ${shown(valueAt(input, issue.path))}`];
};

const ceilingProblems = (limits: Readonly<Record<string, unknown>>, of: string, ceilings: Ceilings): string[] =>
  ceilingNames.flatMap((key) => {
    const [actual, most] = [limits[key], ceilings[key]];
    const where = ceilings.tenants?.has(key) ? 'for a function of this tenant' : 'on this node';
    return typeof actual === 'number' && actual > most ? [`cannot set ${key}${of}: at most ${most} ${where}, got ${actual}`] : [];
  });

const prewarmProblems = (wanted: unknown, of: string, { prewarm: most }: Ceilings): string[] =>
  most !== undefined && typeof wanted === 'number' && wanted > most
    ? [`cannot set capacity.prewarm${of}: at most ${most} for a function of this tenant, got ${wanted}`]
    : [];

/** A default above the ceiling is lowered to it; only what the manifest itself asks for is refused. */
const lowerDefaults = (manifest: Manifest, asked: Readonly<Record<string, unknown>>, ceilings: Ceilings): Manifest => {
  const limits = { ...manifest.limits };
  for (const key of ceilingNames) if (asked[key] === undefined) limits[key] = Math.min(limits[key], ceilings[key]);
  return { ...manifest, limits };
};

/** Names of secrets that are keys of the configuration too. */
const clashing = (secrets: unknown, config: unknown): string[] =>
  (Array.isArray(secrets) ? secrets : []).filter((name: unknown) => typeof name === 'string' && isRecord(config) && Object.hasOwn(config, name));

const sidecarProblems = (entry: unknown, what: string): string[] => [
  ...clashing(ownValue(entry, 'secrets'), ownValue(entry, 'config')).map((name) => `cannot set secrets of ${what}: ${shown(name)} is a key of config too`),
  ...(ownValue(entry, 'when') === 'used' && ['function', 'tenant'].includes(String(ownValue(entry, 'scope')))
    ? [`cannot set when of ${what} to "used": its scope is "${ownValue(entry, 'scope')}", and a shared instance starts when it is first called`]
    : []),
  ...Object.entries({ config: ownValue(entry, 'config'), 'capabilities.keyvalue': ownValue(ownValue(entry, 'capabilities'), 'keyvalue') }).flatMap(
    ([key, section]) => (isRecord(section) && Object.hasOwn(section, '__proto__') ? [`cannot set ${key}.__proto__ of ${what}: the name is reserved`] : []),
  ),
];

/** What concerns several keys, checked on the input so that it is told together with all else. */
const crossProblems = (input: unknown, of: string): string[] => {
  const { secrets, config, env, trust, capacity, capabilities, sidecars } = isRecord(input) ? input : {};
  const clashes = clashing(secrets, config);
  const shares = trust === 'isolated' && ownValue(capacity, 'fleet') === 'resident';
  return [
    ...(ownValue(capacity, 'fleet') === 'resident' &&
    (Array.isArray(sidecars) ? sidecars : []).some((entry: unknown) => ['function', 'tenant'].includes(String(ownValue(entry, 'scope'))))
      ? [`cannot set capacity.fleet${of} to "resident": a sidecar of scope "function" or "tenant" lives in an isolate`]
      : []),
    ...(shares ? [`cannot set capacity.fleet${of} to "resident": trust is "isolated", and gateway threads serve all tenants`] : []),
    ...(Array.isArray(sidecars) ? sidecars : []).flatMap((entry: unknown, index: number) => sidecarProblems(entry, `sidecars[${index}]${of}`)),
    ...clashes.map((name) => `cannot set secrets${of}: ${shown(name)} is a key of config too`),
    ...Object.entries({ env, config, 'capabilities.keyvalue': ownValue(capabilities, 'keyvalue') }).flatMap(([key, section]) =>
      isRecord(section) && Object.hasOwn(section, '__proto__') ? [`cannot set ${key}.__proto__${of}: the name is reserved`] : [],
    ),
  ];
};

const problem = (all: readonly string[]): Problem => {
  const listed = all.length > problemsMax ? [...all.slice(0, problemsMax), `and ${all.length - problemsMax} more`] : all;
  const count = all.length === 1 ? '' : ` (and ${all.length - 1} more)`;
  return new Problem('manifest-invalid', `${all[0]}${count}`, listed);
};

/**
 * Checks a manifest and sets its defaults.
 * @throws Problem `manifest-invalid` with every problem found
 */
export const parseManifest = (input: unknown, ceilings: Ceilings): Manifest => {
  const name = ownValue(input, 'name');
  const of = typeof name === 'string' ? ` of ${shown(name)}` : '';
  const parsed = manifestSchema.safeParse(input);
  const limits = ownValue(input, 'limits');
  const asked = isRecord(limits) ? limits : {};
  const problems = (parsed.error?.issues ?? []).flatMap((issue) => issueProblems(input, of, issue as Issue));
  const sidecars = ownValue(input, 'sidecars');
  for (const [index, entry] of (Array.isArray(sidecars) ? sidecars : []).entries()) {
    const own = ownValue(entry, 'limits');
    if (isRecord(own)) problems.push(...ceilingProblems(own, ` of sidecars[${index}]${of}`, ceilings));
  }
  problems.push(
    ...ceilingProblems(asked, of, ceilings),
    ...prewarmProblems(valueAt(input, ['capacity', 'prewarm']), of, ceilings),
    ...crossProblems(input, of),
  );
  if (problems.length > 0 || !parsed.success) throw problem(problems);
  return lowerDefaults(parsed.data, asked, ceilings);
};
