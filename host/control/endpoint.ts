import { createRoute, OpenAPIHono, type RouteConfig, type z } from '@hono/zod-openapi';
import type { ControlEnv } from './auth.ts';
import { validationHook } from './problem.ts';
import { problem } from './schema.ts';

/** A part of the API, with its validation errors in the API's form. */
export const newGroup = () => new OpenAPIHono<ControlEnv>({ defaultHook: validationHook });

export const json = <S extends z.ZodType>(schema: S, description: string) => ({ content: { 'application/json': { schema } }, description });
export const jsonBody = <S extends z.ZodType>(schema: S) => ({ content: { 'application/json': { schema } }, required: true });
export const nothing = (description: string) => ({ description });

/** The document says of every endpoint that it may answer with a problem, and with which token it is to be called. */
export const endpoint = <P extends string, R extends Omit<RouteConfig, 'path'> & { path: P }>(config: R) => {
  const route = createRoute<P, R>(config);
  Object.assign(route.responses, { default: { content: { 'application/problem+json': { schema: problem } }, description: 'Refused or failed' } });
  return Object.assign(route, { security: [{ bearer: [] }] });
};
