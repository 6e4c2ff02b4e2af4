import { Problem } from '../base/errors.ts';

export const objectKeyBytesMax = 1024;
export const headerBytesMax = 8192;
export const contentTypeDefault = 'application/octet-stream';

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
const controls = /[\u0000-\u001f\u007f]/;

/** A key is a path that means the same to every client: no "." or ".." segments, which URLs resolve, and no control characters. @throws Problem `request-invalid` */
export const checkObjectKey = (key: string): void => {
  const refuse = (constraint: string): never => {
    throw new Problem('request-invalid', `cannot use ${JSON.stringify(key.slice(0, 80))} as the key of an object: ${constraint}`);
  };
  if (key === '' || !key.isWellFormed()) refuse('it must be a non-empty, well-formed string');
  if (key.length > objectKeyBytesMax || Buffer.byteLength(key) > objectKeyBytesMax)
    refuse(`it must have at most ${objectKeyBytesMax} bytes, it has ${Buffer.byteLength(key)}`);
  if (controls.test(key)) refuse('it must have no control characters');
  if (key.split('/').some((segment) => segment === '.' || segment === '..')) refuse('it must have no "." or ".." segments');
};
