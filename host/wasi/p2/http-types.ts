import { type Err, err } from '../../base/result.ts';
import type { HostInterface } from '../../component/host.ts';
import type { HeaderList, WasiContext } from '../context.ts';
import { Fields } from './fields.ts';
import type { FutureIncomingResponse } from './future-incoming-response.ts';
import { errorCode } from './http-error-code.ts';
import { isValidMethod, type Method, type Scheme } from './http-method.ts';
import type { FutureTrailers, IncomingBody } from './incoming-body.ts';
import type { IncomingRequest, IncomingResponse } from './incoming-message.ts';
import type { IoError } from './io-error.ts';
import type { OutgoingBody } from './outgoing-body.ts';
import { OutgoingRequest, OutgoingResponse, RequestOptions } from './outgoing-message.ts';
import { Pollable } from './pollable.ts';
import { assertChildless } from './resource.ts';
import type { ResponseOutparam } from './response-outparam.ts';
import { isValidAuthority, isValidPath, isValidScheme } from './uri-syntax.ts';

type C = WasiContext;

const refused: Err = err(undefined);

const fields = {
  '[constructor]fields': (context: C) => Fields.empty(context),
  '[static]fields.from-list': (context: C, entries: HeaderList) => Fields.fromList(context, entries),
  '[method]fields.get': (_: C, self: Fields, name: string) => self.get(name),
  '[method]fields.has': (_: C, self: Fields, name: string) => self.has(name),
  '[method]fields.set': (_: C, self: Fields, name: string, values: Uint8Array[]) => self.set(name, values),
  '[method]fields.delete': (_: C, self: Fields, name: string) => self.delete(name),
  '[method]fields.append': (_: C, self: Fields, name: string, value: Uint8Array) => self.append(name, value),
  '[method]fields.entries': (_: C, self: Fields) => self.list,
  '[method]fields.clone': (context: C, self: Fields) => self.clone(context),
};

const incoming = {
  '[method]incoming-request.method': (_: C, self: IncomingRequest) => self.method,
  '[method]incoming-request.path-with-query': (_: C, self: IncomingRequest) => self.pathWithQuery,
  '[method]incoming-request.scheme': (_: C, self: IncomingRequest) => self.scheme,
  '[method]incoming-request.authority': (_: C, self: IncomingRequest) => self.authority,
  '[method]incoming-request.headers': (_: C, self: IncomingRequest) => self.headers(),
  '[method]incoming-request.consume': (_: C, self: IncomingRequest) => self.consume() ?? refused,
  '[method]incoming-response.status': (_: C, self: IncomingResponse) => self.status,
  '[method]incoming-response.headers': (_: C, self: IncomingResponse) => self.headers(),
  '[method]incoming-response.consume': (_: C, self: IncomingResponse) => self.consume() ?? refused,
  '[method]incoming-body.stream': (_: C, self: IncomingBody) => self.stream() ?? refused,
  '[static]incoming-body.finish': (context: C, body: IncomingBody) => {
    assertChildless(context, body, 'finish incoming-body');
    return body.finish();
  },
  '[method]future-trailers.subscribe': (_: C, self: FutureTrailers) => new Pollable(self, self),
  '[method]future-trailers.get': (_: C, self: FutureTrailers) => self.get(),
  '[method]future-incoming-response.subscribe': (_: C, self: FutureIncomingResponse) => new Pollable(self, self),
  '[method]future-incoming-response.get': (_: C, self: FutureIncomingResponse) => self.get(),
};

/** Sets a property if the value is valid, else answers with the empty error. */
function setter<S, V>(isValid: (value: V) => boolean, set: (self: S, value: V) => void) {
  return (_: C, self: S, value: V) => {
    if (!isValid(value)) return refused;
    set(self, value);
    return undefined;
  };
}

const optional = (isValid: (text: string) => boolean) => (text: string | undefined) => text === undefined || isValid(text);

const outgoingRequest = {
  '[constructor]outgoing-request': (_: C, headers: Fields) => new OutgoingRequest(headers),
  '[method]outgoing-request.body': (context: C, self: OutgoingRequest) => self.body(context) ?? refused,
  '[method]outgoing-request.method': (_: C, self: OutgoingRequest) => self.method,
  '[method]outgoing-request.set-method': setter<OutgoingRequest, Method>(isValidMethod, (self, method) => (self.method = method)),
  '[method]outgoing-request.path-with-query': (_: C, self: OutgoingRequest) => self.pathWithQuery,
  '[method]outgoing-request.set-path-with-query': setter<OutgoingRequest, string | undefined>(
    optional(isValidPath),
    (self, path) => (self.pathWithQuery = path),
  ),
  '[method]outgoing-request.scheme': (_: C, self: OutgoingRequest) => self.scheme,
  '[method]outgoing-request.set-scheme': setter<OutgoingRequest, Scheme | undefined>(
    (scheme) => scheme?.tag !== 'other' || isValidScheme(scheme.val),
    (self, scheme) => (self.scheme = scheme),
  ),
  '[method]outgoing-request.authority': (_: C, self: OutgoingRequest) => self.authority,
  '[method]outgoing-request.set-authority': setter<OutgoingRequest, string | undefined>(optional(isValidAuthority), (self, text) => (self.authority = text)),
  '[method]outgoing-request.headers': (_: C, self: OutgoingRequest) => Fields.view(self.headers, self),
};

const anyDuration = () => true;

const requestOptions = {
  '[constructor]request-options': () => new RequestOptions(),
  '[method]request-options.connect-timeout': (_: C, self: RequestOptions) => self.connectTimeout,
  '[method]request-options.set-connect-timeout': setter<RequestOptions, bigint | undefined>(anyDuration, (self, value) => (self.connectTimeout = value)),
  '[method]request-options.first-byte-timeout': (_: C, self: RequestOptions) => self.firstByteTimeout,
  '[method]request-options.set-first-byte-timeout': setter<RequestOptions, bigint | undefined>(anyDuration, (self, value) => (self.firstByteTimeout = value)),
  '[method]request-options.between-bytes-timeout': (_: C, self: RequestOptions) => self.betweenBytesTimeout,
  '[method]request-options.set-between-bytes-timeout': setter<RequestOptions, bigint | undefined>(
    anyDuration,
    (self, value) => (self.betweenBytesTimeout = value),
  ),
};

const isStatus = (status: number) => status >= 100 && status <= 999;

const outgoingResponse = {
  '[constructor]outgoing-response': (_: C, headers: Fields) => new OutgoingResponse(headers),
  '[method]outgoing-response.status-code': (_: C, self: OutgoingResponse) => self.status,
  '[method]outgoing-response.set-status-code': setter<OutgoingResponse, number>(isStatus, (self, status) => (self.status = status)),
  '[method]outgoing-response.headers': (_: C, self: OutgoingResponse) => Fields.view(self.headers, self),
  '[method]outgoing-response.body': (context: C, self: OutgoingResponse) => self.body(context) ?? refused,
  '[method]outgoing-body.write': (_: C, self: OutgoingBody) => self.stream() ?? refused,
  '[static]outgoing-body.finish': (context: C, body: OutgoingBody, trailers: Fields | undefined) => {
    assertChildless(context, body, 'finish outgoing-body');
    return body.finish(trailers?.release());
  },
  '[static]response-outparam.set': (context: C, outparam: ResponseOutparam, result: Parameters<ResponseOutparam['set']>[1]) => outparam.set(context, result),
  '[method]response-outparam.send-informational': (_: C, self: ResponseOutparam, status: number, headers: Fields) => self.informational(status, headers),
};

function httpErrorCode(_: C, error: IoError) {
  return error.httpCode === undefined ? undefined : errorCode(error.httpCode, error.message);
}

const nothing = () => undefined;

export const httpTypes: HostInterface<C> = {
  name: 'wasi:http/types',
  functions: { ...fields, ...incoming, ...outgoingRequest, ...requestOptions, ...outgoingResponse, 'http-error-code': httpErrorCode },
  drop: {
    fields: (_: C, self: Fields) => void self.release(),
    'incoming-request': (context: C, self: IncomingRequest) => {
      assertChildless(context, self, 'drop incoming-request');
      self.drop();
    },
    'incoming-response': (context: C, self: IncomingResponse) => {
      assertChildless(context, self, 'drop incoming-response');
      self.drop();
    },
    'incoming-body': (context: C, self: IncomingBody) => {
      assertChildless(context, self, 'drop incoming-body');
      self.drop();
    },
    'future-trailers': (context: C, self: FutureTrailers) => {
      assertChildless(context, self, 'drop future-trailers');
      self.drop();
    },
    'future-incoming-response': (context: C, self: FutureIncomingResponse) => {
      assertChildless(context, self, 'drop future-incoming-response');
      self.drop();
    },
    'outgoing-request': (context: C, self: OutgoingRequest) => {
      assertChildless(context, self, 'drop outgoing-request');
      self.content?.abort('the guest dropped the request');
    },
    'outgoing-response': (context: C, self: OutgoingResponse) => {
      assertChildless(context, self, 'drop outgoing-response');
      self.content?.abort('the guest dropped the response');
    },
    'outgoing-body': (context: C, self: OutgoingBody) => {
      assertChildless(context, self, 'drop outgoing-body');
      self.abort('the guest dropped the body before it was finished');
    },
    'request-options': nothing,
    'response-outparam': nothing,
  },
};
