// The second argument of `fetch`: the environment of the function, read when it is first looked at.
import { getEnvironment } from 'wasi:cli/environment';

const read = (): Record<string, string> => Object.assign(Object.create(null), Object.fromEntries(getEnvironment()));

/** The manifest's `env`. */
export function environment(): Record<string, string> {
  let values: Record<string, string> | undefined;
  const known = () => {
    values ??= read();
    return values;
  };
  return new Proxy(Object.create(null), {
    get: (_, name) => (typeof name === 'string' ? known()[name] : undefined),
    has: (_, name) => name in known(),
    ownKeys: () => Object.keys(known()),
    getOwnPropertyDescriptor: (_, name) => {
      const value = known()[String(name)];
      return value === undefined ? undefined : { value, enumerable: true, configurable: true, writable: true };
    },
  });
}
