import { type AnyNode, DirectoryNode, FileFailure } from './scratch.ts';

const pathCharactersMax = 4096;
const nameCharactersMax = 255;
const depthMax = 128;

/** Where a path leads: its last directory, the name in it, and what is there. The name is '' for the base itself. */
export type Place = { directory: DirectoryNode; name: string; node: AnyNode | undefined; mustBeDirectory: boolean };

function segmentsOf(path: string): string[] {
  if (path === '') throw new FileFailure('no-entry');
  if (path.startsWith('/')) throw new FileFailure('not-permitted');
  if (path.length > pathCharactersMax) throw new FileFailure('name-too-long');
  if (path.includes('\0')) throw new FileFailure('invalid');
  return path.split('/').filter((segment) => segment !== '' && segment !== '.');
}

function enter(directory: DirectoryNode, name: string): DirectoryNode {
  const node = directory.entries.get(name);
  if (node === undefined) throw new FileFailure('no-entry');
  if (!(node instanceof DirectoryNode)) throw new FileFailure('not-directory');
  return node;
}

/** Follows a path below `base`; a path that leaves it is `not-permitted`. There are no links. */
export function locate(base: DirectoryNode, path: string): Place {
  const segments = segmentsOf(path);
  const trail: [directory: DirectoryNode, name: string][] = [];
  let directory = base;
  let name = '';
  for (const segment of segments) {
    if (name !== '') directory = enter(directory, name);
    name = '';
    if (segment !== '..') {
      if (segment.length > nameCharactersMax) throw new FileFailure('name-too-long');
      if (trail.length === depthMax) throw new FileFailure('name-too-long');
      trail.push([directory, segment]);
      name = segment;
    } else {
      if (trail.length === 0) throw new FileFailure('not-permitted');
      directory = (trail.pop() as [DirectoryNode, string])[0];
    }
  }
  const mustBeDirectory = /(^|\/)\.{0,2}$/.test(path);
  return place(base, directory, name, trail, mustBeDirectory);
}

function place(base: DirectoryNode, directory: DirectoryNode, name: string, trail: [DirectoryNode, string][], mustBeDirectory: boolean): Place {
  if (name === '' && directory !== base) {
    const last = trail.at(-1) as [DirectoryNode, string];
    return { directory: last[0], name: last[1], node: directory, mustBeDirectory };
  }
  if (name === '') return { directory: base, name, node: base, mustBeDirectory };
  const node = directory.entries.get(name);
  if (mustBeDirectory && node !== undefined && !(node instanceof DirectoryNode)) throw new FileFailure('not-directory');
  return { directory, name, node, mustBeDirectory };
}

/** What stands at a path. */
export function find(base: DirectoryNode, path: string): AnyNode {
  const { node } = locate(base, path);
  if (node === undefined) throw new FileFailure('no-entry');
  return node;
}
