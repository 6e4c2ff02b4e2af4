import { createRoute, OpenAPIHono, type RouteConfig, type z } from '@hono/zod-openapi';
import type { ControlEnv, Guard } from './auth.ts';
import { validationHook } from './problem.ts';
import { problem } from './schema.ts';

/** A part of the API, with its validation errors in the API's form. */
export const newGroup = () => new OpenAPIHono<ControlEnv>({ defaultHook: validationHook });

export const json = <S extends z.ZodType>(schema: S, description: string) => ({ content: { 'application/json': { schema } }, description });
export const jsonBody = <S extends z.ZodType>(schema: S) => ({ content: { 'application/json': { schema } }, required: true });
export const nothing = (description: string) => ({ description });

const withProblems = <R extends RouteConfig>(route: R): R => {
  Object.assign(route.responses, { default: { content: { 'application/problem+json': { schema: problem } }, description: 'Refused or failed' } });
  return route;
};

const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);

/** A name for generated clients: `GET /v1/functions/{name}/versions` is `getFunctionsByNameVersions`. */
export const operationId = ({ method, path }: { method: string; path: string }): string =>
  [method, ...(path.replace('/v1/', '/').match(/\{?\w+/g) ?? [])]
    .map((word, at) => (at === 0 ? word : word.startsWith('{') ? `By${capital(word.slice(1))}` : capital(word)))
    .join('');

/** The document says of every endpoint that it may answer with a problem, and which scope its token needs. */
export const endpoint = <P extends string, R extends Omit<RouteConfig, 'path'> & { path: P; middleware: Guard }>(config: R) =>
  Object.assign(withProblems(createRoute<P, R>(config)), { operationId: operationId(config), security: [{ bearer: [config.middleware.scope] }] });

/** An endpoint that needs no token. */
export const openEndpoint = <P extends string, R extends Omit<RouteConfig, 'path'> & { path: P }>(config: R) =>
  Object.assign(withProblems(createRoute<P, R>(config)), { operationId: operationId(config), security: [] });
