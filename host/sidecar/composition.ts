/**
 * A function with its sidecars, as data: which components there are, and which of them provides what to whom. Made at
 * deployment, posted to the threads that run the function.
 */

/** What a sidecar is by what it imports and exports; one can be several of them. */
export type SidecarKind = 'middleware' | 'provider' | 'companion';

/** How long an instance of a sidecar lives: for one execution, or shared by those of a function or of all functions of the tenant that link it. */
export type SidecarScope = 'execution' | 'function' | 'tenant';

export type SidecarReason = 'manifest' | 'determined' | 'tenant' | 'debug';

/** A sidecar of one version of a function, with everything that decides how it runs. */
export type ComposedSidecar = {
  name: string;
  version: string;
  /** Of its component. */
  digest: string;
  kinds: SidecarKind[];
  scope: SidecarScope;
  /** Who uses the same name in one thread shares an instance; not given for one of its own. */
  sharedAs?: string;
  from: 'image' | 'agent';
  why: SidecarReason;
  /** `used`: started at once only if the execution before used it, else at its first call. */
  when: 'always' | 'used';
  /** Whether an execution fails if it cannot be started. */
  required: boolean;
  /** How long each of its last calls may take. */
  graceMs: number;
  /** How long it may take to get ready. */
  readyMs: number;
  onMainChange: 'follow' | 'stay';
  limits: { memoryMib: number; cpuMs: number };
  /** What `configure` is given, and `wasi:config`. */
  settings: [name: string, value: string][];
  /** Names of secrets that the settings have too, where it runs. */
  secrets?: string[];
  /** Files of its scratch directory, in base64. */
  files?: [name: string, content: string][];
  outboundHosts: string[];
  keyvalue: [name: string, bucket: string][];
};

/** The part `from` imports `interface`, which the part `to` exports as `exported`. Part 0 is the function itself, part n the n-th sidecar. */
export type Link = { from: number; interface: string; to: number; exported: string };

export type Composition = {
  sidecars: ComposedSidecar[];
  links: Link[];
  /** Middlewares by part, the first one gets the request first; behind the last one is the function. */
  chain: number[];
  /** Sidecars by part in the order in which they start: whoever provides before those whom it provides. */
  order: number[];
};

export const LIFECYCLE = 'nacelle:sidecar/lifecycle@0.1.0';
export const CONFIGURATION = 'nacelle:sidecar/configuration@0.1.0';
export const NEXT = 'nacelle:sidecar/next@0.1.0';
export const HANDLER = 'wasi:http/incoming-handler';

/** `access-log@1.2.0`. */
export const sidecarLabel = ({ name, version }: Pick<ComposedSidecar, 'name' | 'version'>): string => `${name}@${version}`;
