/** `wasi:io/streams`, or `streams` of the same package; versions are left out. */
export type WitPath = { package: string | null; interface: string };

export type WitType =
  | { kind: 'name'; name: string }
  | { kind: 'list' | 'option'; type: WitType }
  | { kind: 'tuple'; items: WitType[] }
  | { kind: 'result'; ok: WitType | null; err: WitType | null }
  | { kind: 'own' | 'borrow'; resource: string };

export type WitDefinition =
  | { kind: 'use'; from: WitPath; name: string }
  | { kind: 'alias'; type: WitType }
  | { kind: 'record'; fields: [name: string, type: WitType][] }
  | { kind: 'variant'; cases: [name: string, type: WitType | null][] }
  | { kind: 'enum' | 'flags'; names: string[] }
  | { kind: 'resource' };

export type WitFunc = { params: [name: string, type: WitType][]; result: WitType | null };

/**
 * `name` is the package and interface without version, `wasi:io/streams`; `version` is the package's or ''. Functions
 * are named as in a component.
 */
export type WitInterface = { package: string; name: string; version: string; types: Map<string, WitDefinition>; functions: Map<string, WitFunc> };
