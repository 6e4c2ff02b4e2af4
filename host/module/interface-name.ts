/** `wasi:io/poll@0.2.3` without its version. */
export const withoutVersion = (name: string): string => name.replace(/@.*$/s, '');

/** The version in an interface name, or ''. */
export const versionOf = (name: string): string => name.slice(withoutVersion(name).length + 1);

/** Releases of 0.2 answer for each other; a draft is taken in any state of the same 0.x, or without version. */
export function isCompatible(wanted: string, host: string): boolean {
  const minor = /^\d+\.\d+/.exec(host)?.[0] ?? '';
  if (host.includes('-')) return wanted === '' || wanted === minor || wanted.startsWith(`${minor}.`);
  return new RegExp(`^${minor.replace('.', '\\.')}(\\.\\d+)?$`).test(wanted);
}

const NAME_MAX = 100;

/** A name from an upload, as it may stand in a message. */
export const shown = (name: string): string => (name.length > NAME_MAX ? `${name.slice(0, NAME_MAX)}…` : name);
