/** A request with another body than the one that came. */
import type { OtherInput } from '../verdict/model.ts';
import type { HeaderLines, StoredRequest } from './stored-run.ts';

/** Headers that go with the body: its length is told if it was. */
export const headersWith = (headers: HeaderLines, { body, contentType }: OtherInput): HeaderLines => [
  ...headers.flatMap(([name, value]): HeaderLines => {
    const lower = name.toLowerCase();
    if (lower === 'content-length') return [[name, String(Buffer.byteLength(body, 'base64'))]];
    return lower === 'content-type' && contentType !== undefined ? [] : [[name, value]];
  }),
  ...(contentType === undefined ? [] : [['content-type', contentType] as [string, string]]),
];

export const withInput = (request: StoredRequest, input: OtherInput | undefined): StoredRequest =>
  input ? { ...request, headers: headersWith(request.headers, input), body: Buffer.from(input.body, 'base64') } : request;
