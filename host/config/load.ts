import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, resolve } from 'node:path';
import { Problem } from '../base/errors.ts';
import { parseJsonc } from '../base/jsonc.ts';
import { nearest } from '../base/nearest.ts';
import { formatAddress } from './address.ts';
import { configSchema, type NodeConfig } from './schema.ts';
import { type Setting, settings } from './settings.ts';

/** Where settings come from, the strongest first. */
export type ConfigSources = {
  /** By flag, without dashes: `{ 'ceilings-memory-mib': '64' }`; `config` names the file. */
  flags: Readonly<Record<string, string | undefined>>;
  /** `NACELLE_…`; others are not looked at. */
  env: Readonly<Record<string, string | undefined>>;
  /** What relative paths of flags and variables are relative to, and where node.jsonc is looked for. */
  directory: string;
};

const DEFAULT_FILE = 'node.jsonc';
/** Variables that are not settings: they belong to the command line. */
const otherVariables = ['NACELLE_CONFIG', 'NACELLE_URL', 'NACELLE_TOKEN'];

type Raw = Record<string, unknown>;
type Draft = { raw: Raw; origins: Map<string, string>; problems: string[] };

const isRecord = (value: unknown): value is Raw => typeof value === 'object' && value !== null && !Array.isArray(value);

const refusal = (problems: readonly string[]): Problem =>
  new Problem('config-invalid', problems.length === 1 ? (problems[0] as string) : `${problems[0]} (and ${problems.length - 1} more)`, problems);

function readFile({ flags, env, directory }: ConfigSources): { path: string; value: Raw } | undefined {
  const named = flags.config ?? env.NACELLE_CONFIG;
  const path = resolve(directory, named ?? DEFAULT_FILE);
  if (named === undefined && !existsSync(path)) return undefined;
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw refusal([`cannot read ${path}: ${(error as Error).message}`]);
  }
  const { value, problems } = parseJsonc(text);
  if (problems.length > 0) throw refusal(problems.map((problem) => `cannot read ${path}: ${problem}`));
  if (!isRecord(value)) throw refusal([`cannot read ${path}: must be an object, got ${JSON.stringify(value)}`]);
  return { path, value };
}

/** A text as the type of its setting; what is not of the type stays text, and the schema says so. */
function typed(setting: Setting, text: string): unknown {
  if (setting.type === 'number' && /^-?\d+(\.\d+)?(e-?\d+)?$/.test(text)) return Number(text);
  if (setting.type === 'integer' && /^-?\d+$/.test(text)) return Number(text);
  if (setting.type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  if (setting.type === 'json') return parseJsonc(text).value ?? text;
  return text;
}

/** A section that is no object stays as it is: the schema says so. */
function withValue(section: unknown, [first, ...rest]: readonly string[], value: unknown): unknown {
  if (first === undefined) return value;
  return isRecord(section) ? { ...section, [first]: withValue(section[first] ?? {}, rest, value) } : section;
}

function put({ raw, origins }: Draft, setting: Setting, text: string, origin: string): void {
  Object.assign(raw, withValue(raw, setting.path, typed(setting, text)));
  origins.set(setting.key, origin);
}

function unknownVariables(env: ConfigSources['env']): string[] {
  const known = [...otherVariables, ...settings.map((setting) => setting.variable)];
  const unknown = Object.keys(env).filter((name) => name.startsWith('NACELLE_') && !known.includes(name));
  return unknown.map((name) => {
    const meant = nearest(name, known);
    return `cannot set ${name}: there is no such variable${meant ? `, did you mean ${meant}?` : ''}`;
  });
}

function collect(sources: ConfigSources): Draft {
  const file = readFile(sources);
  const draft: Draft = { raw: { ...file?.value }, origins: new Map(), problems: unknownVariables(sources.env) };
  if (file && typeof file.value.data === 'string') draft.raw.data = resolve(dirname(file.path), file.value.data);
  for (const setting of settings) {
    if (file) draft.origins.set(setting.key, file.path);
    const variable = sources.env[setting.variable];
    const flag = sources.flags[setting.flag];
    if (variable !== undefined) put(draft, setting, variable, setting.variable);
    if (flag !== undefined) put(draft, setting, flag, `--${setting.flag}`);
  }
  return draft;
}

type Issue = { code: string; path: readonly PropertyKey[]; message: string; keys?: readonly string[] };

function issueProblems({ raw, origins }: Draft, { code, path, message, keys }: Issue): string[] {
  const key = path.join('.');
  if (code === 'unrecognized_keys') {
    const names = (keys ?? []).map((name) => [...path, name].join('.'));
    const known = settings.map((setting) => setting.key);
    return names.map((name) => `cannot set ${name}: there is no such setting${nearest(name, known) ? `, did you mean ${nearest(name, known)}?` : ''}`);
  }
  const value = path.reduce<unknown>((outer, part) => (isRecord(outer) ? outer[part as string] : undefined), raw);
  const origin = origins.get(key);
  return [`cannot set ${key || 'the configuration'}: ${message}, got ${JSON.stringify(value)}${origin ? ` (${origin})` : ''}`];
}

function isolateProblems({ max, idleMs, instanceIdleMs, whenFull, queueMs, configurations }: NodeConfig['isolates']): string[] {
  const floors = configurations.reduce((sum, { floor }) => sum + floor, 0);
  const names = configurations.map(({ name }) => name);
  const each = configurations.flatMap(({ name, floor, ceiling }) => [
    ...(floor > ceiling ? [`cannot set floor of isolates.configurations "${name}": at most its ceiling ${ceiling}, got ${floor}`] : []),
    ...(ceiling > max ? [`cannot set ceiling of isolates.configurations "${name}": at most isolates.max ${max}, got ${ceiling}`] : []),
  ]);
  return [
    ...each,
    ...(floors > max ? [`cannot set isolates.configurations: the floors together are at most isolates.max ${max}, got ${floors}`] : []),
    ...(new Set(names).size < names.length ? [`cannot set isolates.configurations: names must differ, got ${names.join(', ')}`] : []),
    ...(instanceIdleMs > idleMs ? [`cannot set isolates.instanceIdleMs: at most isolates.idleMs ${idleMs}, got ${instanceIdleMs}`] : []),
    ...(whenFull === 'queue' && queueMs === 0 ? ['cannot set isolates.queueMs: must be above 0 when isolates.whenFull is "queue", got 0'] : []),
  ];
}

function crossProblems({ http, control, isolates, fleets, deferral, edge }: NodeConfig): string[] {
  const same = http.port !== 0 && formatAddress(http) === formatAddress(control);
  const { residentAbove, onDemandBelow } = fleets;
  const { periodMs, bucketMs } = deferral;
  return [
    ...(edge.takeBack.failures > edge.takeBack.of
      ? [`cannot set edge.takeBack.failures: at most edge.takeBack.of ${edge.takeBack.of}, got ${edge.takeBack.failures}`]
      : []),
    ...(edge.origin !== '' && edge.token === '' ? ['cannot set edge.origin: an edge needs a token of its origin (--token)'] : []),
    ...(same ? [`cannot set control: must be another address than http, got ${formatAddress(control)} for both`] : []),
    ...isolateProblems(isolates),
    ...(residentAbove > onDemandBelow ? [] : [`cannot set fleets.residentAbove: must be above fleets.onDemandBelow ${onDemandBelow}, got ${residentAbove}`]),
    ...(periodMs % bucketMs === 0 ? [] : [`cannot set deferral.bucketMs: must divide deferral.periodMs ${periodMs}, got ${bucketMs}`]),
  ];
}

/**
 * Resolves each setting once: flag, variable, file (`--config`, NACELLE_CONFIG, or node.jsonc in the directory if it is there), default.
 * @throws Problem `config-invalid` with every problem found
 */
export function loadConfig(sources: ConfigSources): NodeConfig {
  const draft = collect(sources);
  const parsed = configSchema.safeParse(draft.raw);
  const problems = [...draft.problems, ...(parsed.error?.issues ?? []).flatMap((issue) => issueProblems(draft, issue as Issue))];
  if (parsed.success) problems.push(...crossProblems(parsed.data));
  if (!parsed.success || problems.length > 0) throw refusal(problems);
  const { $schema: _, ...config } = parsed.data;
  return { ...config, data: resolve(sources.directory, config.data), gateways: config.gateways || availableParallelism() };
}
