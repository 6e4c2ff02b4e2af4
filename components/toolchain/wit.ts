import { readFileSync } from 'node:fs';

const builtin = new URL('../../node_modules/@bytecodealliance/jco/lib/wit/builtin/', import.meta.url);
const drafts = new URL('../../wit/', import.meta.url);

/** A package's text in the nested form, so that several packages fit in one source. */
export function nest(text: string): string {
  const head = /^package\s+([^;]+);/m.exec(text);
  if (head === null) throw new Error(`cannot nest WIT without a package line: ${text.slice(0, 60)}`);
  return `package ${head[1]} {\n${text.replace(head[0], '')}\n}\n`;
}

const PACKAGES = ['cli', 'clocks', 'http', 'io', 'random'];
const WORLDS = /^world [\w-]+ \{[^{}]*\}$/gm;

/** The released packages that a function may name, in `version`, without their worlds: those drag in sockets and files. */
const released = (version: string): string[] => PACKAGES.map((name) => releasedPackage(name, version));

/** A released package without its worlds, nested. */
export function releasedPackage(name: string, version: string): string {
  const text = readFileSync(new URL(`0.2.12/wasi-${name}/package.wit`, builtin), 'utf8');
  return nest(text.replace(WORLDS, '').replaceAll('@0.2.12', `@${version}`));
}

/**
 * One WIT source with a single world `fixture` and every package it may name.
 * `version` is that of the released WASI packages; `world` is the body of the world; `packages` are further nested ones.
 */
export function worldSource(version: string, world: string, packages: readonly string[] = []): string {
  return `package nacelle:fixture;\nworld fixture {\n${world}\n}\n${[...released(version), ...packages].join('\n')}`;
}

/** The text of a draft package under wit/, nested. */
export function draft(name: string): string {
  return nest(readFileSync(new URL(`${name}.wit`, drafts), 'utf8'));
}
