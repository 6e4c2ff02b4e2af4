import { Problem } from '../base/errors.ts';
import type { Labels } from '../base/labels.ts';
import { systemClock } from '../event/model.ts';
import type { OriginBound } from '../event/origin-bound.ts';
import type { HeldBlobs } from '../store/held-blobs.ts';
import type { Table } from '../store/table.ts';
import { type Arrival, Arrivals } from './arrivals.ts';
import { nextBoot } from './boot.ts';
import { sendBatch } from './event-batch.ts';
import { type ForwardCounters, Forwarder, reserveForwarding } from './forwarder.ts';
import { type Alarm, type LinkState, OriginLink } from './link.ts';
import type { FeedMessage, Position } from './message.ts';
import { createOriginClient, type OriginClient } from './origin-client.ts';
import { aheadOf, answering, liveOf, type Prefetch, readyFirst, unarrived } from './prefetch.ts';
import { type PullCounters, Puller } from './pull.ts';
import { digestOfHolder, type RecordChanges } from './records.ts';
import { functionsOf, Replica, type SecretValues } from './replica.ts';
import type { TakenBack } from './rollout/report.ts';
import type { Standing } from './rollout/standing.ts';
import { fetchSecrets } from './secret-values.ts';

export type EdgeSettings = {
  /** The control API of the origin. */
  origin: string;
  token: string;
  /** The fingerprint that the origin's key must have; '' believes the first one. */
  originKey: string;
  /** What people call this edge. */
  name: string;
  prefetch: Prefetch;
  reportMs: number;
  pullBytesPerSecond: number;
  eventsPerSecond: number;
};

export type EdgeOptions = {
  settings: EdgeSettings;
  /** What of the origin's functions it serves. */
  standing: Standing;
  table: Table;
  /** Keeps bytes that nobody holds yet, and is told of those that somebody let go. */
  held: Pick<HeldBlobs, 'claim' | 'claimPresent' | 'doubt' | 'put'>;
  /** 32 bytes: secrets are encrypted with them at rest. */
  secretKey: Uint8Array;
  /** The key for which the origin encrypts secrets. */
  boxKey: Uint8Array;
  domain: string;
  moduleBytesMax: number;
  product: string;
  /** A new id, for an edge that joins. */
  newId: () => string;
  /** Events for the origin. */
  bound: OriginBound;
  /** Serves by what the Table says now. */
  publish: () => Promise<void>;
  /** Erases tenants that are marked as removed. */
  finishRemovals: () => Promise<void>;
  /** Removes what a function has left that is gone. Does nothing if none of its name has left anything. */
  forget: (tenant: string, name: string) => Promise<void>;
  /** Makes a module ready before it is asked for. */
  prepare: (digest: string) => Promise<unknown>;
  isPrepared: (digest: string) => boolean;
  /** Whether a component is in Blobs. */
  isHere: (digest: string) => Promise<boolean>;
  /** Whether what is prepared stays past its time to live: while the origin cannot be reached, it does. */
  keepPrepared: (keep: boolean) => void;
  log: { info(fields: object, message: string): void; warn(fields: object, message: string): void; error(fields: object, message: string): void };
};

/** What an edge says of itself: `GET /v1/node`, `edge`. */
export type EdgeView = {
  id: string;
  name: string;
  origin: string;
  originKey: string;
  state: LinkState;
  since: string;
  revision: number;
  draining: boolean;
  failure: string | null;
  alarm: { at: string; why: Alarm['why']; detail: string } | null;
  labels: Labels;
  /** Versions whose components are on their way: those before them are served. */
  awaited: { tenant: string; function: string; version: number }[];
  /** Versions that failed here: those before them are served. */
  takenBack: (Omit<TakenBack, 'at' | 'adoption'> & { at: string })[];
  pulls: PullCounters;
  /** Events for the origin: how many it has taken, and why it did not take the last ones. */
  events: ForwardCounters & { failure: string | null };
};

/** While nothing is rolled out. */
const reportAtLeastMs = 10_000;
const prefetchAtOnce = 2;
const awaitedTold = 256;

const makeForwarder = (options: EdgeOptions, client: OriginClient, edge: string, signal: AbortSignal): Forwarder => {
  const { origin, eventsPerSecond } = options.settings;
  return new Forwarder({
    ...options,
    clock: systemClock,
    random: Math.random,
    perSecond: eventsPerSecond,
    send: (batch) => sendBatch(client, edge, batch, signal),
    onFailure: (failure) => options.log.warn({ failure, origin }, 'edge: the origin does not take events, they are kept'),
  });
};

const makeArrivals = ({ prepare, log }: EdgeOptions, onArrived: () => void): Arrivals =>
  new Arrivals({
    prepare,
    onArrived,
    onDelayed: ({ tenant, name, version }, failure) =>
      log.warn({ tenant, function: name, version, failure }, 'edge: the version before is served, this one cannot be had yet'),
  });

/**
 * A node that serves what another one has deployed. It begins with `openEdge`, follows its origin from `start` on, and ends
 * with `close`. While the origin is away it goes on with what is in its Table and Blobs.
 */
export class Edge {
  readonly id: string;
  private readonly options: EdgeOptions;
  private readonly client: OriginClient;
  private readonly replica: Replica;
  private readonly link: OriginLink;
  private readonly puller: Puller;
  private readonly forwarder: Forwarder;
  private readonly arrivals: Arrivals;
  private readonly ending = new AbortController();
  private reporter: NodeJS.Timeout | undefined;
  private fetching: Promise<void> = Promise.resolve();
  private fetchesAgain = false;
  private draining = false;
  private readonly boot: number;
  private sequence = 0;
  private reportedMs = 0;

  constructor(options: EdgeOptions, replica: Replica, origin: { edge: string } & Position, boot: number) {
    const { settings, held, moduleBytesMax } = options;
    const { signal } = this.ending;
    this.options = options;
    this.id = origin.edge;
    this.boot = boot;
    this.replica = replica;
    this.client = createOriginClient(settings.origin, settings.token, options.product);
    this.puller = new Puller({
      client: this.client,
      held,
      bytesMax: moduleBytesMax,
      bytesPerSecond: settings.pullBytesPerSecond,
      isConnected: () => this.link.isConnected,
      signal,
    });
    this.link = new OriginLink({
      client: this.client,
      position: { key: origin.key, revision: origin.revision },
      fingerprint: settings.originKey === '' ? undefined : settings.originKey,
      edge: origin.edge,
      apply: (message, at) => this.apply(message, at),
      onAlarm: ({ why, detail }) =>
        options.log.error({ why, detail, origin: settings.origin }, 'edge: does not follow its origin, and goes on with what it has'),
      onDrain: (draining) => {
        this.draining = draining;
      },
      onState: (state) => {
        options.log.info({ state, origin: settings.origin, revision: this.link.status().revision }, 'edge');
        options.keepPrepared(state !== 'connected');
        this.forwarder.connected(state === 'connected');
        if (state === 'connected') this.report();
      },
    });
    this.forwarder = makeForwarder(options, this.client, this.id, signal);
    this.arrivals = makeArrivals(options, () => this.serveAnew());
    options.standing.isAwaited = (...version) => this.arrivals.isAwaited(...version);
  }

  /** Finds what was on its way when the edge was stopped. To be awaited before anybody asks for functions. */
  async open(): Promise<void> {
    const found = await unarrived(await this.replica.records(), this.options.isHere);
    for (const arrival of found) this.arrivals.add(arrival);
    if (found.length > 0) await this.options.publish();
  }

  start(): void {
    this.forwarder.start();
    this.link.start();
    this.arrivals.start();
    this.reporter = setInterval(() => this.reportSoon(), this.options.settings.reportMs);
    this.prefetch();
  }

  async close(): Promise<void> {
    clearInterval(this.reporter);
    this.ending.abort();
    await this.link.close();
    await this.forwarder.close();
    await this.arrivals.close();
    await this.fetching;
  }

  /** Brings a component into Blobs. @throws Problem `unavailable`, `not-found`, `store-full` */
  pull(digest: string): Promise<void> {
    return this.puller.pull(digest);
  }

  /** Why requests should go elsewhere. To be cut off is no reason. */
  notReady(): string[] {
    const { revision, failure } = this.link.status();
    const why = failure === undefined ? '' : `: ${failure}`;
    return [
      ...(revision === 0 ? [`this edge has heard nothing from its origin ${this.options.settings.origin} yet${why}`] : []),
      ...(this.draining ? ['this edge is being drained'] : []),
    ];
  }

  view(): EdgeView {
    const { state, since, revision, key, failure, alarm } = this.link.status();
    const { name, origin } = this.options.settings;
    return {
      id: this.id,
      name,
      origin,
      originKey: key,
      state,
      since: new Date(since).toISOString(),
      revision,
      draining: this.draining,
      failure: failure ?? null,
      alarm: alarm ? { ...alarm, at: new Date(alarm.at).toISOString() } : null,
      labels: this.options.standing.labels,
      awaited: this.awaited(),
      takenBack: this.options.standing.takenBack().map(({ adoption: _, at, ...taken }) => ({ ...taken, at: new Date(at).toISOString() })),
      pulls: { ...this.puller.counters },
      events: { ...this.forwarder.counters, failure: this.forwarder.failure ?? null },
    };
  }

  private async apply(message: FeedMessage, at: Position): Promise<void> {
    const changes = await this.replica.changesOf(message);
    const secrets = await this.secretsFor(changes, at.key);
    const arrivals = await this.readyFirst(changes, message.base !== null);
    for (const { tenant, name } of await this.replica.endFormer(changes)) await this.options.forget(tenant, name);
    for (const { tenant, name, record } of changes.put.flatMap(liveOf)) this.arrivals.keep(tenant, name, answering(record));
    // Before the records say so: whoever finds these versions must find that they are awaited, and their bytes have no holder yet.
    const claims = changes.put.flatMap(([key]) => digestOfHolder(key) ?? []).map((digest) => this.options.held.claim(digest));
    for (const arrival of arrivals) this.arrivals.add(arrival);
    const gone = await this.replica.apply(changes, secrets, { ...at, edge: this.id }).finally(() => {
      for (const release of claims) release();
    });
    for (const key of changes.remove) this.letGo(key);
    await this.options.publish();
    this.forget(changes);
    if (gone.length > 0) await this.options.finishRemovals();
    this.options.log.info({ revision: at.revision, put: changes.put.length, removed: changes.remove.length }, 'edge: took over a revision of the origin');
    this.report(at.revision);
    this.prefetch();
  }

  private async secretsFor(changes: RecordChanges, originKey: string): Promise<SecretValues> {
    const keys = await this.replica.missingSecrets(changes);
    if (keys.length === 0) return new Map();
    try {
      return await fetchSecrets({ client: this.client, boxKey: this.options.boxKey, originKey, keys, signal: this.ending.signal });
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== 'forbidden') throw error;
      this.options.log.warn({ secrets: keys.length }, 'edge: its token may not have secrets, functions go without');
      return new Map();
    }
  }

  private awaited(): EdgeView['awaited'] {
    return this.arrivals.list().map(({ name, ...version }) => ({ ...version, function: name }));
  }

  private letGo(key: string): void {
    const digest = digestOfHolder(key);
    if (digest !== undefined) this.options.held.doubt(digest);
  }

  private readyFirst(changes: RecordChanges, isNews: boolean): Promise<Arrival[]> {
    const { settings, isPrepared } = this.options;
    return readyFirst({ changes, isNews, usual: settings.prefetch, labels: this.options.standing.labels, known: (key) => this.replica.known(key), isPrepared });
  }

  /** Something else is to be served than before. */
  private serveAnew(): void {
    this.options.publish().then(
      () => this.report(),
      (error: unknown) => this.options.log.error({ error: String(error) }, 'edge: cannot serve a version that has arrived'),
    );
  }

  /** Brings components here, and prepares them, before anybody asks for them. While it does, it takes note that there is more. */
  private prefetch(): void {
    if (this.fetchesAgain) return;
    this.fetchesAgain = true;
    this.fetching = this.fetching.then(() => {
      this.fetchesAgain = false;
      return this.fetchAhead();
    });
  }

  private async fetchAhead(): Promise<void> {
    const { settings, standing, prepare, isPrepared, log } = this.options;
    const { pull, prepare: wanted } = aheadOf(await this.replica.records(), settings.prefetch, standing.labels);
    const all = async (digests: string[], act: (digest: string) => Promise<unknown>): Promise<void> => {
      for (let digest = digests.pop(); digest !== undefined && !this.ending.signal.aborted; digest = digests.pop())
        await act(digest).catch((error: unknown) => log.warn({ digest, error: String(error) }, 'edge: cannot make a module ready ahead'));
    };
    await Promise.all(Array.from({ length: prefetchAtOnce }, () => all(pull, (digest) => this.pull(digest))));
    await all(
      wanted.filter((digest) => !isPrepared(digest)),
      prepare,
    );
  }

  private forget(changes: RecordChanges): void {
    const gone = functionsOf(changes);
    for (const { tenant, name } of gone) {
      // Nobody has to wait for it but a function of that name; at the next start it is tried again.
      this.options.forget(tenant, name).catch(() => undefined);
      this.options.standing.forget(tenant, name);
      this.arrivals.keep(tenant, name, []);
    }
  }

  private reportSoon(): void {
    if (this.options.standing.served().length > 0 || performance.now() - this.reportedMs >= reportAtLeastMs) this.report();
  }

  /** Tells the origin how far this edge is. Not to be told is no failure: the next report says it. */
  report(revision = this.link.status().revision): void {
    if (!this.link.isConnected) return;
    this.reportedMs = performance.now();
    const { standing, settings, product } = this.options;
    const said = {
      labels: standing.labels,
      functions: standing.served(),
      takenBack: standing.takenBack(),
      ...(this.link.spoken >= 2 ? { awaited: this.awaited().slice(0, awaitedTold) } : {}),
    };
    const body = JSON.stringify({ name: settings.name, product, revision, draining: this.draining, boot: this.boot, sequence: ++this.sequence, ...said });
    this.client
      .request(`/v1/edges/${this.id}/report`, { method: 'PUT', body, headers: { 'content-type': 'application/json' }, signal: this.ending.signal })
      .then((response) => response.body?.cancel())
      .catch(() => undefined);
  }
}

/**
 * Makes a node an edge, or one again.
 * @throws Problem `config-invalid` if the node has functions of its own
 */
export async function openEdge(options: EdgeOptions): Promise<Edge> {
  const replica = new Replica(options);
  if (await replica.hasOwnFunctions())
    throw new Problem('config-invalid', 'cannot follow an origin: the data directory has functions of its own (choose another with --data)');
  const known = await replica.origin();
  const origin = known ?? { key: '', revision: 0, edge: options.newId() };
  if (!known) await replica.setOrigin(origin);
  await reserveForwarding(options.table);
  options.standing.id = origin.edge;
  const edge = new Edge(options, replica, origin, await nextBoot(options.table, Date.now()));
  await edge.open();
  return edge;
}
