import { createHash } from 'node:crypto';
import { Problem } from '../../base/errors.ts';
import { bucketId, bucketOf, tenantOf } from '../../capability/keyvalue-keys.ts';
import { isMade, type ObjectManifest, type ObjectRecord, type ObjectRule, type SourceRef } from '../../capability/object-model.ts';

/** How a client says that an object is computed. */
export type ComputedSpec = { function: string; version?: number | undefined; source: string[]; params: Record<string, string>; rule: string | null };

export const sourcesMax = 8;
/** Computed objects that may stand one behind the other. */
export const depthMax = 4;

/** The text that "*" stands for, or undefined if the pattern does not match. */
const starOf = (pattern: string, key: string): string | undefined => {
  const star = pattern.indexOf('*');
  if (star === -1) return pattern === key ? '' : undefined;
  const [head, tail] = [pattern.slice(0, star), pattern.slice(star + 1)];
  return key.length >= head.length + tail.length && key.startsWith(head) && key.endsWith(tail) ? key.slice(head.length, key.length - tail.length) : undefined;
};

/** What the first rule that matches the key says. */
export const specOfRules = (rules: readonly ObjectRule[], key: string): ComputedSpec | undefined => {
  for (const { keys, from, function: name, version, params } of rules) {
    const star = starOf(keys, key);
    if (star !== undefined) return { function: name, version, source: [from.replace('*', () => star)], params, rule: keys };
  }
  return undefined;
};

export type Find = (id: string, key: string) => ObjectRecord | undefined;

/** The sources as they are now. @throws Problem `generator-refused` */
export const resolveSources = (id: string, { source, function: name }: ComputedSpec, find: Find): { sources: SourceRef[]; depth: number } => {
  const refuse = (why: string): Problem => new Problem('generator-refused', `cannot compute the object by "${name}": ${why}`);
  if (source.length === 0 || source.length > sourcesMax) throw refuse(`1 to ${sourcesMax} sources, got ${source.length}`);
  let depth = 1;
  const sources = source.map((text): SourceRef => {
    const slash = text.indexOf('/');
    const [bucket, key] = [text.slice(0, Math.max(slash, 0)), text.slice(slash + 1)];
    const object = bucket === '' || key === '' ? undefined : find(bucketId(tenantOf(id), bucket), key);
    if (!object) throw refuse(`its source ${JSON.stringify(text.slice(0, 200))} is not there`);
    if (object.manifest && isMade(object)) depth = Math.max(depth, object.manifest.depth + 1);
    return { bucket, key, digest: object.digest, bytes: object.bytes };
  });
  if (depth > depthMax) throw refuse(`at most ${depthMax} computed objects may stand one behind the other, this would be number ${depth}`);
  return { sources, depth };
};

const sortedParams = (params: Record<string, string>): [string, string][] => Object.entries(params).sort(([a], [b]) => (a < b ? -1 : 1));

/** Everything that shapes the output, as one text: two manifests with the same one have the same output. */
export const inputsOf = ({ component, sources, params }: Pick<ObjectManifest, 'component' | 'sources' | 'params'>): string => {
  const names = sources.length > 1 ? sources.map(nameOf) : [];
  return createHash('sha256')
    .update(JSON.stringify([component, sources.map(({ digest }) => digest), names, sortedParams(params)]))
    .digest('hex');
};

/** How a source is called in the container `sources`. */
export const nameOf = ({ bucket, key }: SourceRef): string => `${bucket}/${key}`;

/** Objects that are made by the same rule, or by the same function, are similar. */
export const groupOf = (id: string, { function: name, rule }: ObjectManifest, sizeClass: number): string =>
  `${tenantOf(id)}/${rule === null ? `fn/${name}` : `rule/${bucketOf(id)}/${rule}`}/${sizeClass}`;
