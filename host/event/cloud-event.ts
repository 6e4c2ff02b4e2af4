/**
 * CloudEvents 1.0 (https://github.com/cloudevents/spec, v1.0.2): the attributes, checked rule by rule, and the three forms in
 * which events come over HTTP. Here an event is the strings of its attributes and the bytes of its data.
 */
import { isBase64 } from '../base/base64.ts';
import { Problem } from '../base/errors.ts';
import { isUriReference } from '../base/uri.ts';
import type { EventRequest, HeaderLines } from './model.ts';

/** `attributes` without `datacontenttype`, which is `contentType`; all of them in their canonical string form. */
export type CloudEvent = { attributes: ReadonlyMap<string, string>; contentType: string | undefined; data: Uint8Array | null };

export const structuredType = 'application/cloudevents+json';
export const batchType = 'application/cloudevents-batch+json';
export const batchMax = 100;

const attributesMax = 64;
const valueCharactersMax = 8192;
const charactersMax = 32_768;
const namePattern = /^[a-z0-9]{1,64}$/;
// RFC 3339 with the ranges of its fields; leap seconds are allowed there.
const timePattern = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$/;
const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const parameter = `${token}=(?:${token}|"(?:[^"\\\\]|\\\\.)*")`;
// Blanks behind a semicolon belong to a parameter or to what follows, never to either: with two ways for each, a match takes 2ⁿ steps.
const mediaTypePattern = new RegExp(`^${token}/${token}(?:[ \\t]*;(?:[ \\t]*${parameter})?)*[ \\t]*$`);
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what the rule is about
const forbiddenText = /[\u0000-\u001f\u007f-\u009f\p{Noncharacter_Code_Point}]/u;
const jsonTypePattern = /^[^;]*[/+]json\s*(;|$)/i;

const required = ['id', 'source', 'specversion', 'type'] as const;
/** Those of which the specification says what they are; other attributes may have any of its types. */
const known = new Set<string>([...required, 'datacontenttype', 'dataschema', 'subject', 'time']);
/** Attributes that must have something in them. `partitionkey` is of the extension "Partitioning". */
const filled = new Set<string>([...known, 'partitionkey']);

/** The last day of a month is not in the pattern. */
const isTime = (text: string): boolean => timePattern.test(text) && new Date(`${text.slice(0, 10)}T00:00:00Z`).toISOString().slice(0, 10) === text.slice(0, 10);

type Rule = [ok: (value: string) => boolean, must: string];
const rules: Readonly<Record<string, Rule>> = {
  specversion: [(value) => value === '1.0', 'must be "1.0"'],
  source: [isUriReference, 'must be a URI reference'],
  // The specification wants an absolute URI, without a fragment. Schemas have names with one, and Azure Event Grid sends "#".
  dataschema: [isUriReference, 'must be a URI reference'],
  datacontenttype: [(value) => mediaTypePattern.test(value), 'must be a media type'],
  time: [isTime, 'must be a time as in RFC 3339'],
};

/** Whether an attribute may have it. */
export const isAttributeText = (value: string): boolean => value.isWellFormed() && !forbiddenText.test(value);

const valueProblem = (name: string, value: string): string | undefined => {
  if (value === '' && filled.has(name)) return `${name} must not be empty`;
  if (value.length > valueCharactersMax) return `${name} must have at most ${valueCharactersMax} characters`;
  if (!isAttributeText(value)) return `${name} must not have control characters, lone surrogates or noncharacters`;
  const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
  return rule && !rule[0](value) ? `${name} ${rule[1]}, got "${value.slice(0, 60)}"` : undefined;
};

const attributeProblem = (name: string, value: string): string | undefined =>
  namePattern.test(name) && name !== 'data' ? valueProblem(name, value) : `"${name.slice(0, 40)}" is no name of an attribute: a-z and 0-9 only`;

/** Whether an event may have this attribute, by its name and value. */
export const isAttribute = (name: string, value: string): boolean => attributeProblem(name, value) === undefined;

/** What is wrong with the attributes, `datacontenttype` included. */
const attributeProblems = (attributes: ReadonlyMap<string, string>): string[] => {
  const problems: string[] = required.filter((name) => !attributes.has(name)).map((name) => `${name} is missing`);
  const characters = [...attributes.values()].reduce((sum, value) => sum + value.length, 0);
  if (characters > charactersMax) problems.push(`the attributes of an event have at most ${charactersMax} characters, got ${characters}`);
  if (attributes.size > attributesMax) problems.push(`an event has at most ${attributesMax} attributes, got ${attributes.size}`);
  for (const [name, value] of attributes) {
    const problem = attributeProblem(name, value);
    if (problem) problems.push(problem);
  }
  return problems;
};

const refuse = (problems: readonly string[], which = ''): never => {
  throw new Problem(
    'request-invalid',
    `cannot take the event${which}: ${problems[0]}${problems.length > 1 ? ` (and ${problems.length - 1} more)` : ''}`,
    problems,
  );
};

const eventOf = (all: ReadonlyMap<string, string>, data: Uint8Array | null, problems: readonly string[], which: string): CloudEvent => {
  const found = [...problems, ...attributeProblems(all)];
  if (found.length > 0) refuse(found, which);
  const attributes = new Map([...all].filter(([name]) => name !== 'datacontenttype'));
  return { attributes, contentType: all.get('datacontenttype'), data };
};

/** An event that the node itself makes, or that was checked before. @throws Problem `request-invalid` */
export const makeEvent = (attributes: Readonly<Record<string, string>>, contentType: string | undefined, data: Uint8Array | null): CloudEvent => {
  const all = new Map(Object.entries({ specversion: '1.0', ...attributes }));
  if (contentType !== undefined) all.set('datacontenttype', contentType);
  return eventOf(all, data, [], '');
};

const strictText = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const percentDecoded = (value: string): string | undefined => {
  // Header values are latin1 on the wire; what is not ASCII may have been sent as UTF-8 without being encoded.
  try {
    const text = /[\u0080-\uffff]/.test(value) ? strictText.decode(Buffer.from(value, 'latin1')) : value;
    const unquoted = /^"((?:[^"\\]|\\.)*)"$/.exec(text)?.[1]?.replace(/\\(.)/g, '$1') ?? text;
    return decodeURIComponent(unquoted.replace(/%(?![0-9A-Fa-f]{2})/g, '%25'));
  } catch {
    return undefined;
  }
};

/** The binary form: attributes in `ce-` headers, the data as body. */
const fromBinary = (headers: HeaderLines, body: Uint8Array | null): CloudEvent => {
  const all = new Map<string, string>();
  const problems: string[] = [];
  for (const [header, raw] of headers) {
    const key = header.toLowerCase();
    if (key === 'content-type') all.set('datacontenttype', raw);
    if (!key.startsWith('ce-')) continue;
    const value = percentDecoded(raw);
    const name = key.slice(3);
    if (value === undefined) problems.push(`${name} is not percent-encoded UTF-8`);
    else if (all.has(name) || name === 'datacontenttype') problems.push(`${name} is given twice`);
    else all.set(name, value);
  }
  return eventOf(all, body, problems, '');
};

const isInt32 = (value: number): boolean => Number.isInteger(value) && value >= -(2 ** 31) && value < 2 ** 31;

/** The canonical string of an attribute in JSON; undefined if it has a type that attributes have not. */
const canonical = (value: unknown): string | undefined => {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean' || (typeof value === 'number' && isInt32(value))) return String(value);
  return undefined;
};

const dataOf = (event: Record<string, unknown>, contentType: string | undefined, problems: string[]): Uint8Array | null => {
  const { data, data_base64: encoded } = event;
  if (encoded !== undefined && encoded !== null) {
    if (data !== undefined) problems.push('data and data_base64 must not both be there');
    if (typeof encoded === 'string' && isBase64(encoded)) return Buffer.from(encoded, 'base64');
    problems.push('data_base64 must be base64');
    return null;
  }
  if (data === undefined) return null;
  // Unlike an attribute, data that is null is there.
  if (contentType === undefined || jsonTypePattern.test(contentType)) return Buffer.from(JSON.stringify(data));
  if (typeof data === 'string') return Buffer.from(data);
  if (data !== null) problems.push(`data must be a string where datacontenttype is no JSON, got "${contentType.slice(0, 60)}"`);
  return null;
};

/** The structured form: one JSON object with everything. */
const fromJson = (event: unknown, which: string): CloudEvent => {
  if (typeof event !== 'object' || event === null || Array.isArray(event)) return refuse(['it must be a JSON object'], which);
  const all = new Map<string, string>();
  const problems: string[] = [];
  for (const [name, value] of Object.entries(event)) {
    if (name === 'data' || name === 'data_base64' || value === null) continue;
    const text = canonical(value);
    if (text === undefined) problems.push(`${name.slice(0, 40)} must be a string, a boolean or a whole number of 32 bits`);
    else if (known.has(name) && typeof value !== 'string') problems.push(`${name} must be a string`);
    else all.set(name, text);
  }
  const data = dataOf(event as Record<string, unknown>, all.get('datacontenttype'), problems);
  if (data && !all.has('datacontenttype')) all.set('datacontenttype', 'application/json');
  return eventOf(all, data, problems, which);
};

const parsed = (body: Uint8Array | null): unknown => {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body ?? new Uint8Array(0)));
  } catch (error) {
    throw new Problem('request-invalid', `cannot take the event: its JSON cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
};

/** The events of an HTTP request, in whichever form they come. @throws Problem `request-invalid` with every rule that is broken */
export const readEvents = (headers: HeaderLines, body: Uint8Array | null): CloudEvent[] => {
  const type = headers.find(([name]) => name.toLowerCase() === 'content-type')?.[1] ?? '';
  const media = type.split(';', 1)[0]?.trim().toLowerCase();
  const charset = /;\s*charset="?([^";\s]+)"?/i.exec(type)?.[1];
  if (media?.startsWith('application/cloudevents') && charset !== undefined && !/^utf-?8$/i.test(charset))
    refuse([`its charset must be utf-8, got "${charset}"`]);
  if (media === structuredType) return [fromJson(parsed(body), '')];
  if (media !== batchType) {
    if (media?.startsWith('application/cloudevents')) refuse([`its format must be JSON, got "${media}"`]);
    return [fromBinary(headers, body)];
  }
  const batch = parsed(body);
  if (!Array.isArray(batch)) return refuse(['a batch must be a JSON array']);
  if (batch.length > batchMax) refuse([`a batch has at most ${batchMax} events, got ${batch.length}`]);
  return batch.map((event, index) => fromJson(event, ` ${index}`));
};

/** RFC 3986's unreserved and what else a header may have; the rest is percent-encoded, as the HTTP binding says. */
const percentEncoded = (value: string): string =>
  value.replace(/[^\u0021\u0023\u0024\u0026-\u007e]+/g, (part) =>
    [...Buffer.from(part)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  );

/** The request that delivers an event: the binary form, posted to the root of the function. */
export const eventRequest = ({ attributes, contentType, data }: CloudEvent, authority: string): EventRequest => {
  const headers: HeaderLines = [...attributes].map(([name, value]) => [`ce-${name}`, percentEncoded(value)]);
  if (contentType !== undefined) headers.push(['content-type', contentType]);
  if (data) headers.push(['content-length', String(data.length)]);
  return { method: 'POST', authority, pathWithQuery: '/', headers, body: data && Buffer.from(data).toString('base64') };
};
