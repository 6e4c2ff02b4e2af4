import { z } from 'zod';
import { configSchema } from './schema.ts';

/** One setting, by all its names. */
export type Setting = {
  /** `ceilings.memoryMib` */
  key: string;
  path: readonly string[];
  /** `ceilings-memory-mib`, without dashes before it. */
  flag: string;
  /** `NACELLE_CEILINGS_MEMORY_MIB` */
  variable: string;
  /** `json`: a list, written as JSON where it is a text. */
  type: 'string' | 'integer' | 'number' | 'boolean' | 'json';
  fallback: string | number | boolean;
  description: string;
};

type Node = { type?: string; default?: never; description?: string; properties?: Record<string, Node> };

const words = (path: readonly string[]): string[] => path.flatMap((key) => key.split(/(?=[A-Z])/)).map((word) => word.toLowerCase());

function leaves(node: Node, path: readonly string[]): Setting[] {
  if (node.properties) return Object.entries(node.properties).flatMap(([key, child]) => leaves(child, [...path, key]));
  if (path[0] === '$schema') return [];
  const { type, default: fallback = '' as never, description = '' } = node;
  const [flag, variable] = [words(path).join('-'), `NACELLE_${words(path).join('_').toUpperCase()}`];
  return [
    {
      key: path.join('.'),
      path,
      flag,
      variable,
      type: type === 'array' ? 'json' : (type as Setting['type']),
      fallback: type === 'array' ? JSON.stringify(fallback) : fallback,
      description,
    },
  ];
}

/** The published JSON Schema (draft 2020-12) of node.jsonc. */
export const configJsonSchema = (): Record<string, unknown> => ({ ...z.toJSONSchema(configSchema, { io: 'input' }), title: 'nacelle node configuration' });

/** All settings, in the order of the schema. */
export const settings: readonly Setting[] = leaves(configJsonSchema() as Node, []);
