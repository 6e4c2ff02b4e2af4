import { ReadableStream as WebStream } from 'node:stream/web';
import { Problem } from '../base/errors.ts';
import type { ObjectManifest } from '../capability/object-model.ts';
import type { GeneratorFunction, GeneratorInput, GeneratorOutput, Generators } from '../object/computed/generator.ts';
import { fixedHeaders } from '../wasi/deterministic.ts';
import type { FunctionReader } from './function-reader.ts';
import type { ModuleRecord, VersionRecord } from './model.ts';
import type { DeployedVersion, Route } from './route-table.ts';

/** What a guest may import and still answer the same: the rest reaches outside. */
const harmless = [
  /^wasi:io\//,
  /^wasi:clocks\//,
  /^wasi:random\//,
  /^wasi:cli\//,
  /^wasi:http\/types@/,
  /^wasi:filesystem\//,
  /^wasi:config\//,
  /^wasi:logging\//,
  /^wasi:blobstore\//,
];

/** Generators that gateways know at once; the longest unused is forgotten. */
const activeMax = 64;

export type Ran = { cpuUs: number; wallUs: number; memoryBytesPeak: number };

export type GeneratorsOptions = {
  reader: FunctionReader;
  /** The component has instructions whose results may differ between machines. */
  isRelaxed: (digest: string) => Promise<boolean>;
  /** Body of a blob that is there for as long as the generator runs. */
  bytesOf: (digest: string) => AsyncIterable<Uint8Array>;
  /** A name that nobody can guess, under which gateways reach generators; new with each start of the node. */
  hostSuffix: string;
  /** Sends a request to a host name through a gateway. */
  send: (host: string, request: Request) => Promise<Response>;
  /** What an execution took, once it has ended. */
  meterOf: (execution: string) => Promise<Ran | undefined>;
  bodyMib: number;
  /** Has gateways route to `versions`. */
  publish: () => Promise<void>;
};

type Active = { version: DeployedVersion; host: string };

const describe = (tenant: string, { function: name, version, component, limits }: GeneratorFunction, bodyMib: number): DeployedVersion => ({
  key: `${tenant}/${name}~generator@${version}+${component.slice(-16)}`,
  tenant,
  function: `${name}~generator`,
  version,
  digest: component,
  limits: { ...limits, bodyMib },
  instance: 'pristine',
  env: [],
  config: [],
  outboundHosts: [],
  scratch: false,
  objects: [['sources', 'sources']],
  idleMs: 60_000,
  trust: limits.trust,
  fleet: 'on-demand',
  fleetWanted: 'auto',
  prewarm: 0,
  whenExhausted: 'overflow',
  deferMaxMs: 0,
  deterministic: true,
});

/**
 * Runs functions as generators of objects, through the gateways as any other execution, but without what makes two runs
 * differ: clock, random, environment, configuration. A component stays runnable when its function is gone.
 */
export class FunctionGenerators implements Generators {
  readonly #options: GeneratorsOptions;
  readonly #active = new Map<string, Active>();

  constructor(options: GeneratorsOptions) {
    this.#options = options;
  }

  /** What gateways must know besides deployed functions. */
  routes(): { versions: DeployedVersion[]; routes: Route[] } {
    const active = [...this.#active.values()];
    const routeOf = ({ version, host }: Active): Route => ({
      host,
      path: '/*',
      stripPrefix: '',
      targets: [{ key: version.key, weight: 100 }],
      suspended: false,
    });
    return { versions: active.map(({ version }) => version), routes: active.map(routeOf) };
  }

  async resolve(tenant: string, name: string, version: number | undefined): Promise<GeneratorFunction> {
    const refuse = (why: string): Problem => new Problem('generator-refused', `cannot compute objects by "${name}": ${why}`);
    const found = await this.#find(tenant, name, version).catch((error: unknown) => {
      throw error instanceof Problem ? refuse(error.message) : error;
    });
    const reaching = found.module.imports.filter((imported) => !harmless.some((pattern) => pattern.test(imported)));
    if (reaching.length > 0) throw refuse(`it imports ${reaching.join(', ')}, which ${reaching.length === 1 ? 'reaches' : 'reach'} outside`);
    const { manifest, digest } = found.version;
    if (manifest.sidecars.length > 0) throw refuse('it has sidecars');
    if (await this.#options.isRelaxed(digest)) throw refuse('it uses relaxed SIMD, whose results may differ between machines');
    return { function: name, version: found.version.version, component: digest, limits: { ...manifest.limits, trust: manifest.trust } };
  }

  async run({ tenant, manifest, seed, sources }: GeneratorInput): Promise<GeneratorOutput> {
    const host = await this.#activate(tenant, manifest);
    const [only] = sources;
    const body = sources.length === 1 && only ? (WebStream.from(this.#options.bytesOf(only.digest)) as ReadableStream) : null;
    const query = new URLSearchParams(manifest.params).toString();
    const headers = { [fixedHeaders.seed]: seed, [fixedHeaders.sources]: encodeURIComponent(JSON.stringify(sources)) };
    const init = { method: 'POST', headers, body, ...(body && { duplex: 'half' as const }) };
    const response = await this.#options.send(host, new Request(`http://generator.invalid/${query && `?${query}`}`, init)).catch((error: unknown) => {
      throw failed(manifest, error instanceof Error ? error.message : String(error));
    });
    if (response.status !== 200) throw failed(manifest, `it answered ${response.status} ${(await response.text().catch(() => '')).slice(0, 300)}`);
    return {
      body: bodyOf(manifest, response),
      contentType: response.headers.get('content-type') ?? undefined,
      measured: () => this.#measure(response.headers.get('nacelle-execution') ?? ''),
    };
  }

  async #find(tenant: string, name: string, version: number | undefined): Promise<{ version: VersionRecord; module: ModuleRecord }> {
    const { reader } = this.#options;
    const { value: record } = await reader.require(tenant, name);
    const { value: found } = await reader.requireVersion(tenant, name, version ?? record.live[0]?.version ?? 0);
    return { version: found, module: (await reader.requireModule(tenant, found.digest)).value };
  }

  async #activate(tenant: string, manifest: ObjectManifest): Promise<string> {
    const version = describe(tenant, manifest, this.#options.bodyMib);
    const known = this.#active.get(version.key);
    this.#active.delete(version.key);
    const active = known ?? {
      version,
      host: `${manifest.component.slice(-16)}-${manifest.version}.${tenant}.${manifest.function}.${this.#options.hostSuffix}`,
    };
    this.#active.set(version.key, active);
    if (known) return known.host;
    const [oldest] = this.#active.keys();
    if (this.#active.size > activeMax && oldest !== undefined) this.#active.delete(oldest);
    await this.#options.publish();
    return active.host;
  }

  async #measure(execution: string): Promise<{ cpuMs: number; wallMs: number; memoryBytes: number }> {
    const ran = await this.#options.meterOf(execution);
    return { cpuMs: (ran?.cpuUs ?? 0) / 1000, wallMs: (ran?.wallUs ?? 0) / 1000, memoryBytes: ran?.memoryBytesPeak ?? 0 };
  }
}

const failed = ({ function: name, version }: ObjectManifest, why: string): Problem =>
  new Problem('generator-failed', `cannot compute the object by "${name}@${version}": ${why}`);

async function* bodyOf(manifest: ObjectManifest, response: Response): AsyncGenerator<Uint8Array, void, void> {
  try {
    for await (const chunk of response.body ?? []) yield chunk;
  } catch (error) {
    throw failed(manifest, `its answer broke off: ${error instanceof Error ? error.message : String(error)}`);
  }
}
