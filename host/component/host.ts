/**
 * What host code gives to components: interfaces as tables of plain functions.
 *
 * Functions are keyed by their WIT name in the component (`[method]fields.append`, `now`). The first argument is the
 * context of the instance, the others are the lifted parameters; the return value is lowered. Values in JavaScript:
 *
 * | WIT | JavaScript |
 * |---|---|
 * | bool, integers up to 32 bits, floats | boolean, number |
 * | u64, s64 | bigint (numbers are also taken from the host) |
 * | char, string | string |
 * | list<u8> | Uint8Array, owned by the receiver |
 * | other lists, tuples | array |
 * | record | object with the field names in camelCase |
 * | variant | `{ tag, val? }`, tag as in WIT (`last-operation-failed`) |
 * | enum | its case's name as in WIT |
 * | flags | number, the first flag is bit 0 |
 * | option | the value or undefined; `{ some: value } | undefined` if the value's type is itself an option |
 * | result of a function | the ok value, or an `Err` (host/base/result.ts) |
 * | result elsewhere | `{ tag: 'ok' | 'err', val? }` |
 * | own, borrow of a host resource | the very object that the host made |
 * | own, borrow of a guest's resource | a `GuestResource` (host/component/abi/guest-resource.ts); its rep between components of one plan |
 */
export type HostFunction<C> = (context: C, ...parameters: never[]) => unknown;

export type HostInterface<C> = {
  /** Without version: `wasi:io/streams`. With it only where one version differs from the others: `wasi:keyvalue/store@0.2.0-draft`. */
  name: string;
  functions: Readonly<Record<string, HostFunction<C>>>;
  /** Names of the functions that may return a promise: the guest is suspended until it settles. */
  suspending?: readonly string[];
  /** Functions of which nothing comes that anybody may have to wait for. A component that imports no others never waits, even in those that suspend. */
  waitless?: 'all' | readonly string[];
  /** Called with an object when the guest drops its owned handle, or when the execution ends while the guest still held it. Must not throw. */
  drop?: Readonly<Record<string, (context: C, object: never) => void>>;
};

const withoutVersion = (name: string): string => name.replace(/@.*$/s, '');

/** The name under which the host has an interface: that of this very version if it has one, else without version. */
export const hostNameOf = (name: string, names: { has(name: string): boolean }): string => (names.has(name) ? name : withoutVersion(name));
