import { Problem } from '../base/errors.ts';
import { etagOf, type ObjectRecord } from '../capability/object-model.ts';
import { type ByteRange, parseRange } from './byte-range.ts';
import { allowsRange, evaluate, readPreconditions } from './preconditions.ts';

/** A part of a body: given bytes, or a range of the object's. */
export type Piece = { text: string } | ByteRange;

/** How a read is answered. `bytes` is the length of `body`; a body that must not be sent has no pieces but counts. */
export type ReadPlan = { status: 200 | 206 | 304 | 412 | 416; headers: [name: string, value: string][]; bytes: number; body: Piece[] };

type Get = (name: string) => string | null | undefined;

const digestHeader = ({ digest }: ObjectRecord): string => `sha-256=:${Buffer.from(digest.slice('sha256:'.length), 'hex').toString('base64')}:`;

/** Headers that say which object it is: those of a 304 too. */
const validators = (object: ObjectRecord): [string, string][] => {
  const lines: [string, string][] = [
    ['etag', etagOf(object)],
    ['last-modified', new Date(object.createdAt).toUTCString()],
  ];
  for (const name of ['cache-control', 'expires', 'vary']) {
    const value = object.headers[name];
    if (value !== undefined) lines.push([name, value]);
  }
  return lines;
};

const representation = (object: ObjectRecord): [string, string][] => [
  ...validators(object),
  ...Object.entries(object.headers).filter(([name]) => !['cache-control', 'expires', 'vary'].includes(name)),
  ['accept-ranges', 'bytes'],
  ['repr-digest', digestHeader(object)],
];

const span = ({ start, end }: ByteRange, bytes: number): string => `bytes ${start}-${end - 1}/${bytes}`;

/** Several ranges as multipart/byteranges (RFC 9110, section 14.6). The boundary is part of the digest: no content can foresee its own. */
const multipart = (object: ObjectRecord, ranges: ByteRange[]): { type: string; body: Piece[]; bytes: number } => {
  const boundary = `nacelle-${object.digest.slice(-32)}`;
  const body: Piece[] = [];
  for (const [index, range] of ranges.entries()) {
    const head = `${index === 0 ? '' : '\r\n'}--${boundary}\r\ncontent-type: ${object.contentType}\r\ncontent-range: ${span(range, object.bytes)}\r\n\r\n`;
    body.push({ text: head }, range);
  }
  body.push({ text: `\r\n--${boundary}--\r\n` });
  const bytes = body.reduce((sum, piece) => sum + ('text' in piece ? Buffer.byteLength(piece.text, 'latin1') : piece.end - piece.start), 0);
  return { type: `multipart/byteranges; boundary=${boundary}`, body, bytes };
};

const whole = (object: ObjectRecord): ReadPlan => ({
  status: 200,
  headers: [['content-type', object.contentType], ...representation(object)],
  bytes: object.bytes,
  body: [{ start: 0, end: object.bytes }],
});

const partial = (object: ObjectRecord, range: string): ReadPlan => {
  const ranges = parseRange(range, object.bytes);
  if (ranges === 'whole') return whole(object);
  if (ranges === 'unsatisfiable') return { status: 416, headers: [['content-range', `bytes */${object.bytes}`], ...validators(object)], bytes: 0, body: [] };
  const [first] = ranges as [ByteRange];
  if (ranges.length === 1) {
    const headers: [string, string][] = [['content-type', object.contentType], ['content-range', span(first, object.bytes)], ...representation(object)];
    return { status: 206, headers, bytes: first.end - first.start, body: [first] };
  }
  const { type, body, bytes } = multipart(object, ranges);
  return { status: 206, headers: [['content-type', type], ...representation(object)], bytes, body };
};

/**
 * How GET or HEAD of an object is answered, whether its bytes are stored or not: conditions first, then ranges.
 * @param header a header of the request by its lower-case name
 */
export const planRead = (object: ObjectRecord, method: 'GET' | 'HEAD', header: Get): ReadPlan => {
  const verdict = evaluate(readPreconditions(header), object, true);
  if (verdict === 'not-modified') return { status: 304, headers: validators(object), bytes: 0, body: [] };
  if (verdict === 'failed') return { status: 412, headers: validators(object), bytes: 0, body: [] };
  const range = header('range');
  const plan = method === 'GET' && range && allowsRange(header('if-range'), object) ? partial(object, range) : whole(object);
  return method === 'HEAD' ? { ...plan, body: [] } : plan;
};

/** Why a read is refused, and what its answer says besides; undefined if it is not. */
export const refusalOf = ({ status, headers }: ReadPlan, key: string, object: ObjectRecord): { problem: Problem; headers: [string, string][] } | undefined => {
  const what = `cannot read ${JSON.stringify(key.slice(0, 200))}`;
  if (status === 412) return { problem: new Problem('precondition-failed', `${what}: it is at ${etagOf(object)}`), headers: [['etag', etagOf(object)]] };
  if (status !== 416) return undefined;
  const problem = new Problem('range-not-satisfiable', `${what}: it has ${object.bytes} bytes, and none of them is in the range that was asked for`);
  return { problem, headers: headers.filter(([name]) => name === 'content-range' || name === 'etag') };
};
