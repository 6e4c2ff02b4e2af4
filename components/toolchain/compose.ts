import { componentEmbed, componentNew, parse, print } from '@bytecodealliance/jco';

/** A part of a composition. `with` says which of its imports come from an earlier part, by interface; the host has the rest. */
export type Part = { name: string; component: Uint8Array; with: Record<string, string> };

/** The text of a component's imports: what stands before its first core module. */
async function importsOf(wit: string): Promise<string> {
  const dummy = await componentNew(await componentEmbed({ dummy: true, witSource: wit, world: 'fixture' }), []);
  const text = await print(dummy);
  return text.slice(text.indexOf('\n') + 1, text.indexOf('(core module'));
}

/** The interfaces that a component imports. */
const importNames = (text: string): string[] => [...text.matchAll(/^ {2}\(import "([^"]+)"/gm)].map((found) => found[1]!);

/**
 * One component of several: each part is instantiated with what earlier ones export, and the last one's handler is exported.
 * `wit` is a world that imports every interface of the host that a part needs, whole.
 */
export async function compose(wit: string, parts: readonly Part[], exported: string): Promise<Uint8Array> {
  const imports = await importsOf(wit);
  const hosted = importNames(imports);
  const lines: string[] = [];
  for (const part of parts) {
    const text = await print(part.component);
    lines.push(text.replace(/^\(component(?: \$\S+)?/, `(component $${part.name}-component`));
    const needed = importNames(text).map((name) => {
      const from = part.with[name];
      return `(with "${name}" (instance ${from === undefined ? hosted.indexOf(name) : `$${from} "${name}"`}))`;
    });
    lines.push(`(instance $${part.name} (instantiate $${part.name}-component ${needed.join(' ')}))`);
  }
  const last = parts.at(-1)!;
  return parse(`(component\n${imports}\n${lines.join('\n')}\n(export "${exported}" (instance $${last.name} "${exported}")))`);
}
