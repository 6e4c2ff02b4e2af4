import { Problem } from '../base/errors.ts';
import { contentTypeDefault, headerBytesMax } from '../capability/object-limits.ts';
import type { ObjectHeaders } from '../capability/object-model.ts';

/** Headers of a put that come back with each get. */
const keptHeaders = ['cache-control', 'content-disposition', 'content-encoding', 'content-language', 'expires', 'vary'];
const metadataPrefix = 'nacelle-meta-';
const metadataMax = 64;

const typePattern = /^[A-Za-z0-9!#$&^_.+-]{1,127}\/[A-Za-z0-9!#$&^_.+-]{1,127}(\s*;[\x20-\x7e]*)?$/;

/** What a value of a header may have: no control characters, and nothing beyond latin-1, which no header can carry. */
const valuePattern = /^[\t\x20-\x7e\xa0-\xff]*$/;

/** The type of the content; a default if there is none. @throws Problem `request-invalid` */
export const readContentType = (text: string | null | undefined): string => {
  if (text === null || text === undefined || text === '') return contentTypeDefault;
  if (text.length > 255 || !typePattern.test(text))
    throw new Problem(
      'request-invalid',
      `cannot put the object: content-type must be a media type of at most 255 characters, got ${JSON.stringify(text.slice(0, 80))}`,
    );
  return text;
};

/** @param headers of the request, names in lower case @throws Problem `request-invalid`, `header-too-large` */
export const readObjectHeaders = (headers: Iterable<[name: string, value: string]>): ObjectHeaders => {
  const kept: [string, string][] = [];
  let [bytes, metadata] = [0, 0];
  for (const [name, value] of headers) {
    const isMetadata = name.startsWith(metadataPrefix) && name.length > metadataPrefix.length;
    if (!isMetadata && !keptHeaders.includes(name)) continue;
    if (!valuePattern.test(value))
      throw new Problem('request-invalid', `cannot put the object: ${name.slice(0, 80)} has characters that a header cannot carry`);
    metadata += Number(isMetadata);
    bytes += name.length + value.length;
    kept.push([name, value]);
  }
  if (metadata > metadataMax) throw new Problem('request-invalid', `cannot put the object: at most ${metadataMax} headers ${metadataPrefix}…, got ${metadata}`);
  if (bytes > headerBytesMax)
    throw new Problem('request-invalid', `cannot put the object: its headers may have ${headerBytesMax} bytes together, they have ${bytes}`);
  return Object.fromEntries(kept);
};

/** The digest that `content-digest` or `repr-digest` (RFC 9530) gives in sha-256, as `sha256:<hex>`. @throws Problem `request-invalid` if that is none */
export const readDigest = (header: (name: string) => string | null | undefined): string | undefined => {
  for (const name of ['content-digest', 'repr-digest']) {
    const found = /(?:^|,)\s*sha-256=([^,]*)/i.exec(header(name) ?? '')?.[1];
    if (found === undefined) continue;
    const bytes = Buffer.from(/^:([A-Za-z0-9+/]{43}=):\s*$/.exec(found)?.[1] ?? '', 'base64');
    if (bytes.length !== 32)
      throw new Problem('request-invalid', `cannot check the object: ${name} must be sha-256=:<base64>:, got ${JSON.stringify(found.slice(0, 80))}`);
    return `sha256:${bytes.toString('hex')}`;
  }
  return undefined;
};
