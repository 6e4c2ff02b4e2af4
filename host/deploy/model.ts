import type { Composition, SidecarKind } from '../sidecar/composition.ts';
import type { OtherLimits, Settings } from '../verdict/model.ts';
import type { Manifest, SidecarUse } from './manifest-schema.ts';
import type { Staged } from './rollout.ts';
import type { FunctionRoute } from './route.ts';

/** Of each of its functions; `prewarm` of `capacity`. */
export type TenantLimits = OtherLimits & { prewarm?: number | undefined };

/** Times are milliseconds since 1970. */
export type TenantRecord = {
  name: string;
  /** What an admin gave beside the default routes, in the form of a manifest's routes. */
  routes: string[];
  /** The most that one of its functions may have, where that is less than on the node. */
  limits?: TenantLimits;
  /** `removing`: its data is being deleted, and it is invisible already. */
  state: 'active' | 'suspended' | 'removing';
  createdAt: number;
};

export type TokenRecord = {
  id: string;
  /** sha-256 of the whole token, in hexadecimal. */
  hash: string;
  scopes: string[];
  note: string | null;
  createdAt: number;
  expiresAt: number | null;
};

/** What preparation found out about a component. */
export type ModuleSummary = {
  /** Interfaces with versions: `wasi:http/types@0.2.3`. */
  imports: string[];
  exports: string[];
  /** Why instances cannot be reset and are made anew each time; empty if they can. */
  unrestorable: string[];
};

export type ModuleRecord = ModuleSummary & {
  digest: string;
  bytes: number;
  createdAt: number;
  /** Last upload or deployment; an unused module is kept for a while after it. */
  usedAt: number;
};

export type WeightedVersion = { version: number; weight: number };

/** What verdicts have set of a version, in place of its manifest. */
export type Adjusted = Settings;

/** Who changed what of a function beside deployments, and why. `what`: a key of the manifest, or `live`. */
export type FunctionChange = {
  at: number;
  version: number;
  what: string;
  from: string | number | null;
  to: string | number;
  /** A function, or the name of a built-in verdict. */
  by: string;
  reason: string;
  execution: string;
};

export type FunctionRecord = {
  name: string;
  createdAt: number;
  updatedAt: number;
  versionNext: number;
  /** Versions that answer, by weight; one entry for now. */
  live: WeightedVersion[];
  /** Grows when somebody sets a version live; one that went live by a rollout has that of the rollout. */
  adoption?: number;
  /** A version on its way to the edges. */
  staged?: Staged;
  /** Versions that were live before, the latest last: where a rollback goes. */
  history: number[];
  /** Changes whenever a secret does, and differs for a function removed and made again. */
  revision: string;
  /** Routes held now, default ones included. */
  routes: FunctionRoute[];
  /** The latest, the oldest first. */
  changes?: FunctionChange[];
};

/** `composition`: the sidecars that it was linked with when it was deployed. `proven`: it is not taken back any more for failures of its first executions. */
export type VersionRecord = {
  version: number;
  digest: string;
  createdAt: number;
  manifest: Manifest;
  composition?: Composition;
  adjusted?: Adjusted;
  proven?: true;
};

/** An entry of the sidecar library. `tenant` uploaded it; a public one is seen by all. */
export type SidecarRecord = {
  name: string;
  version: string;
  tenant: string;
  digest: string;
  bytes: number;
  kinds: SidecarKind[];
  imports: string[];
  exports: string[];
  /** An image has its settings with it, an agent gets them from who uses it. */
  from: 'image' | 'agent';
  settings: Record<string, string>;
  /** Requests with a token for it may add it to themselves. */
  debug: boolean;
  public: boolean;
  createdAt: number;
};

export type TenantSidecarsRecord = { sidecars: SidecarUse[] };

export type SecretRecord = { name: string; updatedAt: number; sealed: string };

export type ClaimRecord = { tenant: string; function: string };
