/** Conditions on responses. Pure. */
import type { ResultCondition, ResultRule } from './model.ts';

type Response = { status: number; headers: readonly (readonly [string, string])[]; body: Uint8Array };

/** Larger bodies are not read as JSON. */
const jsonBytesMax = 1024 * 1024;

const statusIs = (status: number, wanted: string): boolean => (wanted.endsWith('xx') ? String(status)[0] === wanted[0] : String(status) === wanted);

const headerIs = (headers: Response['headers'], name: string, value: string): boolean =>
  headers.some(([given, text]) => given.toLowerCase() === name.toLowerCase() && text === value);

const parsed = ({ body }: Response): unknown => {
  if (body.length > jsonBytesMax) return undefined;
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    return undefined;
  }
};

/** `order.state`, `items.0.id`. */
const fieldAt = (value: unknown, path: string): unknown =>
  path
    .split('.')
    .reduce<unknown>(
      (found, key) => (typeof found === 'object' && found !== null && Object.hasOwn(found, key) ? (found as Record<string, unknown>)[key] : undefined),
      value,
    );

const meets = (response: Response, { status, header = {}, json }: ResultCondition): boolean => {
  if (status !== undefined && !statusIs(response.status, status)) return false;
  if (!Object.entries(header).every(([name, value]) => headerIs(response.headers, name, value))) return false;
  if (json === undefined) return true;
  const value = parsed(response);
  return Object.entries(json).every(([path, wanted]) => fieldAt(value, path) === wanted);
};

/** The first rule whose condition the response meets in all its parts. */
export const ruleFor = (rules: readonly ResultRule[] | undefined, response: Response | null): ResultRule | undefined =>
  response ? rules?.find(({ when }) => meets(response, when)) : undefined;
