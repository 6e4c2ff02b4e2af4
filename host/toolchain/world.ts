import { witTexts } from '../module/host-signatures.ts';

/** The release whose names components import: old enough that other hosts know it, too. */
const RELEASE = '0.2.3';
const WORLDS = /^world [\w-]+ \{[^{}]*\}$/gm;
const USABLE = /^(wasi:(cli|clocks|http|io|random|config|keyvalue|logging|blobstore|messaging)|nacelle:state)$/;

type Package = { name: string; version: string; text: string };

function packageOf(text: string): Package {
  const released = text.replace(/@0\.2\.\d+(?!-|\d)/g, `@${RELEASE}`).replace(WORLDS, '');
  const [line = '', name = '', version = ''] = /^package ([^@;]+)@([^;]+);/m.exec(released) ?? [];
  return { name, version, text: `package ${name}@${version} {\n${released.replace(line, '')}\n}` };
}

let read: readonly Package[] | undefined;
const packages = (): readonly Package[] => {
  read ??= witTexts()
    .map(packageOf)
    .filter(({ name }) => USABLE.test(name));
  return read;
};

/** `wasi:keyvalue/store` with the newest version that has it; undefined if no package that functions may use does. */
export function versioned(specifier: string): string | undefined {
  const [, name = '', item = '', wanted] = /^([\w-]+:[\w-]+)\/([\w-]+)(?:@(.+))?$/.exec(specifier) ?? [];
  const having = packages().filter((found) => found.name === name && new RegExp(`^interface ${item} \\{`, 'm').test(found.text));
  const versions = having.map(({ version }) => version).sort();
  const version = wanted === undefined ? versions.at(-1) : versions.find((known) => known === wanted);
  return version === undefined ? undefined : `${name}/${item}@${version}`;
}

/** What a function answers requests by. */
export const handlerInterface = `wasi:http/incoming-handler@${RELEASE}`;

/** WIT of a world `function` that imports these and answers requests. */
export function worldOf(imports: readonly string[]): string {
  const lines = imports.map((name) => `  import ${name};`);
  return `package nacelle:build;\nworld function {\n${lines.join('\n')}\n  export ${handlerInterface};\n}\n${packages()
    .map(({ text }) => text)
    .join('\n')}`;
}
