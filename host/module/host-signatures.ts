import { readdirSync, readFileSync } from 'node:fs';
import { HostSignatures } from '../component/wit/signatures.ts';

/** The WASI release whose WIT is read from jco's package; all releases of 0.2 are contained in it. */
const RELEASE = '0.2.12';

function releasedFolder(): URL {
  try {
    return new URL(`../lib/wit/builtin/${RELEASE}/`, import.meta.resolve('@bytecodealliance/jco'));
  } catch {
    throw new Error(
      'cannot read the interfaces of WASI: a checkout needs its development packages ("npm ci" without --omit=dev); the package that "npm pack" makes does not',
    );
  }
}

/** Files of the released interfaces and their texts, from jco's package. */
export function releasedWit(): [file: string, text: string][] {
  const folder = releasedFolder();
  return readdirSync(folder).map((name) => [`${name}.wit`, readFileSync(new URL(`${name}/package.wit`, folder), 'utf8')]);
}

/** Drafts that no package ships; in the built package the released interfaces too, so that it needs no jco. */
function ownTexts(): string[] {
  const folder = new URL('../../wit/', import.meta.url);
  const files = readdirSync(folder).filter((name) => name.endsWith('.wit'));
  return files.map((name) => readFileSync(new URL(name, folder), 'utf8'));
}

/** The texts of all interfaces that this node knows. */
export function witTexts(): string[] {
  const isBuilt = import.meta.url.endsWith('.js');
  return isBuilt ? ownTexts() : [...ownTexts(), ...releasedWit().map(([, text]) => text)];
}

let loaded: HostSignatures | undefined;

/** The signatures of all interfaces that this node knows, read once a thread. */
export function hostSignatures(): HostSignatures {
  loaded ??= new HostSignatures(witTexts());
  return loaded;
}
