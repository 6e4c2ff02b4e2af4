import { readdirSync, readFileSync } from 'node:fs';
import { HostSignatures } from '../component/wit/signatures.ts';

/** The WASI release whose WIT is read from jco's package; all releases of 0.2 are contained in it. */
const RELEASE = '0.2.12';

function releasedTexts(): string[] {
  const folder = new URL(`../lib/wit/builtin/${RELEASE}/`, import.meta.resolve('@bytecodealliance/jco'));
  return readdirSync(folder).map((name) => readFileSync(new URL(`${name}/package.wit`, folder), 'utf8'));
}

/** Drafts that no package ships. */
function draftTexts(): string[] {
  const folder = new URL('../../wit/', import.meta.url);
  const files = readdirSync(folder).filter((name) => name.endsWith('.wit'));
  return files.map((name) => readFileSync(new URL(name, folder), 'utf8'));
}

let loaded: HostSignatures | undefined;

/** The signatures of all interfaces that this node knows, read once a thread. */
export function hostSignatures(): HostSignatures {
  loaded ??= new HostSignatures([...draftTexts(), ...releasedTexts()]);
  return loaded;
}
