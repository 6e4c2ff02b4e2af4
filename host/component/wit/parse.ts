import type { WitDefinition, WitFunc, WitInterface, WitPath, WitType } from './syntax.ts';
import { Tokens } from './tokens.ts';

/** Passes over what is gated: everything is taken, whatever version or feature it came with. */
function skipGates(tokens: Tokens): void {
  while (tokens.accept('@')) {
    tokens.id();
    if (tokens.accept('(')) while (!tokens.accept(')')) tokens.next();
  }
}

function skipBlock(tokens: Tokens): void {
  tokens.expect('{');
  for (let depth = 1; depth > 0; ) {
    const token = tokens.next();
    if (token === '{') depth++;
    else if (token === '}') depth--;
  }
}

type WitPackage = { name: string; version: string };

function parsePackage(tokens: Tokens): WitPackage {
  const namespace = tokens.id();
  tokens.expect(':');
  const name = `${namespace}:${tokens.id()}`;
  return { name, version: tokens.accept('@') ? tokens.next() : '' };
}

function parsePath(tokens: Tokens): WitPath {
  const first = tokens.id();
  if (!tokens.accept(':')) return { package: null, interface: first };
  const name = `${first}:${tokens.id()}`;
  tokens.expect('/');
  const path: WitPath = { package: name, interface: tokens.id() };
  if (tokens.accept('@')) tokens.next();
  return path;
}

function parseType(tokens: Tokens): WitType {
  const name = tokens.id();
  if (name === 'result') return tokens.accept('<') ? parseResult(tokens) : { kind: 'result', ok: null, err: null };
  if (!tokens.accept('<')) return { kind: 'name', name };
  if (name === 'tuple') return { kind: 'tuple', items: tokens.list('>', () => parseType(tokens)) };
  const type: WitType | undefined =
    name === 'list' || name === 'option'
      ? { kind: name, type: parseType(tokens) }
      : name === 'own' || name === 'borrow'
        ? { kind: name, resource: tokens.id() }
        : tokens.fail(`"${name}" is no known type`);
  tokens.expect('>');
  return type;
}

function parseResult(tokens: Tokens): WitType {
  const ok = tokens.accept('_') ? null : parseType(tokens);
  const err = tokens.accept(',') ? parseType(tokens) : null;
  tokens.expect('>');
  return { kind: 'result', ok, err };
}

function parseParams(tokens: Tokens): WitFunc['params'] {
  tokens.expect('(');
  return tokens.list(')', () => {
    const name = tokens.id();
    tokens.expect(':');
    return [name, parseType(tokens)];
  });
}

/** The rest of a function behind its `func`. */
function parseFunc(tokens: Tokens): WitFunc {
  const params = parseParams(tokens);
  const result = tokens.accept('->') ? parseType(tokens) : null;
  tokens.expect(';');
  return { params, result };
}

function parseUse(tokens: Tokens, types: Map<string, WitDefinition>): void {
  const from = parsePath(tokens);
  tokens.expect('.');
  tokens.expect('{');
  tokens.list('}', () => {
    const name = tokens.id();
    types.set(tokens.accept('as') ? tokens.id() : name, { kind: 'use', from, name });
  });
  tokens.expect(';');
}

function parseResource(tokens: Tokens, found: WitInterface): void {
  const resource = tokens.id();
  found.types.set(resource, { kind: 'resource' });
  if (tokens.accept(';')) return;
  tokens.expect('{');
  for (skipGates(tokens); !tokens.accept('}'); skipGates(tokens)) parseMember(tokens, resource, found);
}

function parseMember(tokens: Tokens, resource: string, found: WitInterface): void {
  const name = tokens.id();
  if (name === 'constructor' && tokens.peek() === '(') {
    const { params, result } = parseFunc(tokens);
    found.functions.set(`[constructor]${resource}`, { params, result: result ?? { kind: 'own', resource } });
    return;
  }
  tokens.expect(':');
  const isStatic = tokens.accept('static');
  tokens.expect('func');
  const func = parseFunc(tokens);
  if (!isStatic) func.params.unshift(['self', { kind: 'borrow', resource }]);
  found.functions.set(`[${isStatic ? 'static' : 'method'}]${resource}.${name}`, func);
}

const parseCase = (tokens: Tokens): [string, WitType | null] => {
  const name = tokens.id();
  if (!tokens.accept('(')) return [name, null];
  const type = parseType(tokens);
  tokens.expect(')');
  return [name, type];
};

const parseField = (tokens: Tokens): [string, WitType] => {
  const name = tokens.id();
  tokens.expect(':');
  return [name, parseType(tokens)];
};

/** A type definition, its items in braces. */
function parseDefinition(tokens: Tokens, kind: 'record' | 'variant' | 'enum' | 'flags', types: Map<string, WitDefinition>): void {
  const name = tokens.id();
  tokens.expect('{');
  if (kind === 'record') types.set(name, { kind, fields: tokens.list('}', () => parseField(tokens)) });
  else if (kind === 'variant') types.set(name, { kind, cases: tokens.list('}', () => parseCase(tokens)) });
  else types.set(name, { kind, names: tokens.list('}', () => tokens.id()) });
}

function parseAlias(tokens: Tokens, types: Map<string, WitDefinition>): void {
  const name = tokens.id();
  tokens.expect('=');
  types.set(name, { kind: 'alias', type: parseType(tokens) });
  tokens.expect(';');
}

function parseItem(tokens: Tokens, found: WitInterface): void {
  skipGates(tokens);
  const word = tokens.next();
  if (word === 'use') parseUse(tokens, found.types);
  else if (word === 'type') parseAlias(tokens, found.types);
  else if (word === 'resource') parseResource(tokens, found);
  else if (word === 'record' || word === 'variant' || word === 'enum' || word === 'flags') parseDefinition(tokens, word, found.types);
  else {
    tokens.expect(':');
    tokens.expect('func');
    found.functions.set(word.replace('%', ''), parseFunc(tokens));
  }
}

function parseInterface(tokens: Tokens, { name, version }: WitPackage): WitInterface {
  const found: WitInterface = { package: name, name: `${name}/${tokens.id()}`, version, types: new Map(), functions: new Map() };
  tokens.expect('{');
  while (!tokens.accept('}')) parseItem(tokens, found);
  return found;
}

function parsePackageItems(tokens: Tokens, outer: WitPackage, nested: boolean, found: WitInterface[]): void {
  let current = outer;
  while (nested ? !tokens.accept('}') : !tokens.done) {
    skipGates(tokens);
    const word = tokens.next();
    if (word === 'interface') found.push(parseInterface(tokens, current));
    else if (word === 'package') {
      const inner = parsePackage(tokens);
      if (tokens.accept('{')) parsePackageItems(tokens, inner, true, found);
      else {
        tokens.expect(';');
        current = inner;
      }
    } else if (word === 'world') {
      tokens.id();
      skipBlock(tokens);
    } else if (word === 'use') while (!tokens.accept(';')) tokens.next();
    else tokens.fail(`"${word}" is not known here`);
  }
}

/**
 * Parses the interfaces of a WIT file; worlds are passed over. Throws an `Error` with the line where it does not understand.
 *
 * Format: https://github.com/WebAssembly/component-model/blob/main/design/mvp/WIT.md
 */
export function parseWit(text: string): WitInterface[] {
  const found: WitInterface[] = [];
  parsePackageItems(new Tokens(text), { name: '', version: '' }, false, found);
  return found;
}
