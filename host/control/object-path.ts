import { Problem } from '../base/errors.ts';
import { isName, nameConstraint } from '../deploy/names.ts';

const decode = (text: string, what: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Problem('request-invalid', `cannot read ${what} ${JSON.stringify(text.slice(0, 80))}: its percent-encoding must be of UTF-8`);
  }
};

/** The bucket and the key of a path behind `/v1/objects/`, slashes in the key as they are or encoded. @throws Problem `request-invalid` */
export const readObjectPath = (path: string): { bucket: string; key: string } => {
  const rest = path.slice('/v1/objects/'.length);
  const slash = rest.indexOf('/');
  const bucket = decode(slash === -1 ? rest : rest.slice(0, slash), 'the bucket');
  if (!isName(bucket)) throw new Problem('request-invalid', `cannot use ${JSON.stringify(bucket.slice(0, 80))} as a bucket: its name ${nameConstraint}`);
  return { bucket, key: slash === -1 ? '' : decode(rest.slice(slash + 1), 'the key') };
};
