/**
 * What gateway threads know of deployed functions: one immutable snapshot a version, made by the supervisor whenever a
 * function, route, secret or tenant changes. Structured-cloneable, so that it can be posted to threads.
 */

import type { WantedLabels } from '../base/labels.ts';
import type { SessionDeclaration, SharedDeclaration } from '../capability/shared-resources.ts';
import type { FailurePolicy, Subscription } from '../event/model.ts';
import type { Composition } from '../sidecar/composition.ts';
import type { Ceilings, ResultRule } from '../verdict/model.ts';
import type { AtRevision } from '../wasi/keyvalue-port.ts';

export type Fleet = 'resident' | 'on-demand';

export type FunctionLimits = {
  memoryMib: number;
  cpuMs: number;
  timeMs: number;
  bodyMib: number;
  /** Executions of this function at once, in one gateway thread. */
  concurrency: number;
};

/** Everything a thread needs to run one version of a function. Secrets are already merged into `config`. */
export type DeployedVersion = {
  /** `tenant/function@version`, unique on the node; changes whenever anything below changes (secrets get a revision suffix). */
  key: string;
  tenant: string;
  function: string;
  version: number;
  /** sha-256 of the component, `sha256:<hex>`. */
  digest: string;
  limits: FunctionLimits;
  /** The most that a verdict may give it. */
  ceilings?: Ceilings;
  instance: 'pristine' | 'reuse';
  env: [name: string, value: string][];
  config: [name: string, value: string][];
  outboundHosts: string[];
  scratch: boolean;
  /** Buckets that it may open, by the guest's names for them. */
  keyvalue?: [name: string, bucket: string][];
  /** Buckets of objects that it may open, by the guest's names for them. */
  objects?: [name: string, bucket: string][];
  /** Topics that it may send messages to. */
  messaging?: string[];
  /** What it is called for beside requests. */
  events?: Subscription[];
  /** What follows when an event or a request fails; absent: the defaults, and only for events. */
  onFailure?: FailurePolicy | undefined;
  /** Responses about which a function is to be asked. */
  onResult?: ResultRule[] | undefined;
  /** What its executions share with others. */
  shared?: SharedDeclaration[];
  session?: SessionDeclaration | undefined;
  /** A record that is there as long as the function is; absent where it shares nothing, or was first deployed before there were such records. */
  incarnation?: AtRevision | undefined;
  /** How long an idle instance is kept. */
  idleMs: number;
  /** `isolated`: never in a thread that serves other tenants. */
  trust: 'shared' | 'isolated';
  /** Where it runs now: in gateway threads, or in isolates. */
  fleet: Fleet;
  /** Where its manifest wants it to run. */
  fleetWanted: 'auto' | Fleet;
  /** Instances that are made ready in isolates before anybody asks. */
  prewarm: number;
  /** What a request gets when all of its tenant's reservation is busy. */
  whenExhausted: 'overflow' | 'queue' | 'reject';
  /** How long an execution may be put off; 0: not at all. */
  deferMaxMs: number;
  /** Its answers depend on its request alone. */
  deterministic?: boolean;
  /** Its sidecars, if it has any. */
  composition?: Composition;
  /** Versions with the same run in one isolate: they share instances of sidecars there. */
  affinity?: string;
  /** Key of the version that this one is but for sidecars that a request asked for. */
  like?: string;
  /** Every request runs in an overlay, those without a key too: what it does is committed when it has ended well. */
  overlay?: boolean;
  /** Labels of the edges that serve it; absent: all. */
  edges?: WantedLabels;
  /** What is promised to requests with a key; absent: nothing. */
  guarantee?: Guarantee | undefined;
};

/** `runs` executions with one key take effect. */
export type Guarantee = { runs: number; retries: number; leaseMs: number; outbound?: 'refuse' | 'allow' };

export type Route = {
  /** Lower-case host name without port, or null for any host. `*.example.com` covers one label or more. */
  host: string | null;
  /** `/orders/*` covers `/orders` and all below; without `/*` it is exact; `/*` is all paths. */
  path: string;
  /** Prefix to remove before the guest sees the path (then `x-forwarded-prefix` is added); '' removes nothing. */
  stripPrefix: string;
  /** Weighted versions; one entry for now. */
  targets: { key: string; weight: number }[];
  /** The tenant is suspended: answer `tenant-suspended`. */
  suspended: boolean;
  /** The bucket whose objects it leads to, as `tenant/bucket`; then there are no targets. */
  bucket?: string;
};

export type RouteTable = {
  version: number;
  functions: DeployedVersion[];
  /** Most specific first: exact host before wildcard before none, then longer path before shorter. */
  routes: Route[];
};
