import { isToken } from './header-syntax.ts';
import { isShortMethod } from './uri-syntax.ts';

/** The variants `method` and `scheme` of wasi:http/types. */
export type Method = { tag: string; val?: string };
export type Scheme = { tag: 'HTTP' | 'HTTPS' } | { tag: 'other'; val: string };

const methods = new Map<string, Method>(
  ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'].map((name) => [name, { tag: name.toLowerCase() }]),
);

export const http: Scheme = { tag: 'HTTP' };
export const https: Scheme = { tag: 'HTTPS' };

export function methodOf(text: string): Method {
  return methods.get(text) ?? { tag: 'other', val: text };
}

/** The method as it is sent. */
export function methodText(method: Method): string {
  return method.tag === 'other' ? (method.val as string) : method.tag.toUpperCase();
}

export function isValidMethod(method: Method): boolean {
  return method.tag !== 'other' || (isShortMethod(method.val as string) && isToken(method.val as string));
}
