import { adjustedManifest } from '../deploy/adjusting.ts';
import type { FunctionView, SecretInfo } from '../deploy/function-reader.ts';
import type { Manifest } from '../deploy/manifest-schema.ts';
import type { FunctionRecord, ModuleRecord, VersionRecord } from '../deploy/model.ts';
import { formatRoute, type RoutePattern } from '../deploy/route.ts';
import { secretsWanted } from '../deploy/sidecar-secrets.ts';
import { type ComposedSidecar, type Composition, sidecarLabel } from '../sidecar/composition.ts';
import type { NumberedRecord } from '../telemetry/log-ring.ts';

export const isoTime = (ms: number): string => new Date(ms).toISOString();

/** An address that a route answers at. A wildcard host has none that could be called as it stands. */
const urlOf = ({ host, path }: RoutePattern, origin: string): string[] => {
  if (host?.startsWith('*.')) return [];
  const url = new URL(origin);
  if (host !== null) url.hostname = host;
  return [`${url.origin}${path.endsWith('/*') ? path.slice(0, -1) : path}`];
};

/** Paths without a host first: they can be called without a name server. */
export const urlsOf = (routes: readonly RoutePattern[], origin: string): string[] =>
  [...routes].sort((a, b) => Number(a.host !== null) - Number(b.host !== null)).flatMap((route) => urlOf(route, origin));

export const viewModule = ({ digest, bytes, imports, exports, unrestorable, createdAt }: ModuleRecord) => ({
  digest,
  bytes,
  imports,
  exports,
  unrestorable,
  uploadedAt: isoTime(createdAt),
});

export const viewFunction = (tenant: string, { name, live, staged, routes, createdAt, updatedAt }: FunctionRecord, origin: string) => ({
  name,
  tenant,
  live,
  staged: staged?.version ?? null,
  routes: routes.map(formatRoute),
  urls: urlsOf(routes, origin),
  createdAt: isoTime(createdAt),
  updatedAt: isoTime(updatedAt),
});

/** @param takenBack names of edges where it failed */
export const viewVersion = ({ live, staged }: FunctionRecord, { version, digest, createdAt }: VersionRecord, takenBack: readonly string[] = []) => ({
  version,
  digest,
  createdAt: isoTime(createdAt),
  weight: live.find((target) => target.version === version)?.weight ?? 0,
  staged: staged?.version === version,
  takenBack: [...takenBack],
});

export const viewSecret = (version: VersionRecord, { name, updatedAt }: SecretInfo) => ({
  name,
  updatedAt: isoTime(updatedAt),
  used: secretsWanted(version).includes(name),
});

/** Interfaces that a component imports and its manifest does not grant. Toolchains import them unused: only a call of one fails. */
const deniedImports = (imports: readonly string[], { capabilities }: Manifest): string[] =>
  imports.filter(
    (name) =>
      (name.startsWith('wasi:http/outgoing-handler@') && capabilities.http.length === 0) ||
      (name.startsWith('wasi:filesystem/') && !capabilities.filesystem.scratch) ||
      name.startsWith('wasi:sockets/'),
  );

/** What a function was not given and may come to want. */
const lacking = ({ version, module, secrets }: FunctionView) => ({
  missingSecrets: secretsWanted(version).filter((name) => !secrets.some((secret) => secret.name === name)),
  denied: deniedImports(module.imports, version.manifest),
});

const viewComposition = (name: string, { sidecars, links, chain }: Composition) => {
  const label = (part: number): string => (part === 0 ? name : sidecarLabel(sidecars[part - 1] as ComposedSidecar));
  return {
    chain: [...chain, 0].map(label),
    links: links.map((link) => ({ from: label(link.from), interface: link.interface, to: label(link.to) })),
    sidecars: sidecars.map((sidecar) => {
      const { name: sidecarName, version, kinds, scope, from, why, when, required } = sidecar;
      return { name: sidecarName, version, kinds: [...kinds], scope, from, why, when, required };
    }),
  };
};

export const viewDetail = (tenant: string, view: FunctionView, origin: string) => ({
  ...viewFunction(tenant, view.record, origin),
  previous: view.record.history.at(-1) ?? null,
  version: viewVersion(view.record, view.version),
  module: viewModule(view.module),
  manifest: { ...view.version.manifest, ...adjustedManifest(view.version.manifest, view.version.adjusted) } as Record<string, unknown>,
  changes: (view.record.changes ?? []).map((change) => ({ ...change, at: isoTime(change.at) })),
  secrets: view.secrets.map((secret) => viewSecret(view.version, secret)),
  composition: view.version.composition ? viewComposition(view.record.name, view.version.composition) : null,
  ...lacking(view),
});

export const viewDeployed = (tenant: string, view: FunctionView, origin: string) => ({
  name: view.record.name,
  tenant,
  version: view.version.version,
  digest: view.version.digest,
  staged: view.record.staged?.version === view.version.version,
  routes: view.record.routes.map(formatRoute),
  urls: urlsOf(view.record.routes, origin),
  ...lacking(view),
});

export const logLineJson = ({ sequence, at, execution, version, stream, level, text }: NumberedRecord) => ({
  sequence,
  at: isoTime(at),
  execution,
  version,
  stream,
  ...(level === undefined ? {} : { level }),
  text,
});
