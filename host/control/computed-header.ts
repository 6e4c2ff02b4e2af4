import { z } from 'zod';
import { Problem } from '../base/errors.ts';
import { generatorParams } from '../deploy/bucket-schema.ts';
import { namePattern } from '../deploy/names.ts';
import { type ComputedSpec, sourcesMax } from '../object/computed/spec.ts';

const computed = z.strictObject({
  function: z.string().regex(namePattern),
  version: z.int().positive().optional(),
  source: z.union([z.string(), z.array(z.string()).min(1).max(sourcesMax)]).transform((source) => (typeof source === 'string' ? [source] : source)),
  params: generatorParams.default({}),
});

const form = '{"function": NAME, "version"?: NUMBER, "source": ["BUCKET/KEY", …], "params"?: {NAME: TEXT}}';

/** What the header `nacelle-computed` says: JSON, or the same percent-encoded where it has characters that no header carries. @throws Problem `request-invalid` */
export const readComputed = (text: string | undefined): ComputedSpec | undefined => {
  if (text === undefined) return undefined;
  try {
    const parsed = computed.safeParse(JSON.parse(text.startsWith('{') ? text : decodeURIComponent(text)));
    if (parsed.success) return { ...parsed.data, rule: null };
  } catch {
    // It is told below what it must be.
  }
  throw new Problem('request-invalid', `cannot read nacelle-computed: it must be ${form}, got ${JSON.stringify(text.slice(0, 200))}`);
};
