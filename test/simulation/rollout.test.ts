import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { FunctionRecord } from '../../host/deploy/model.ts';
import type { TakenBack } from '../../host/edge/rollout/report.ts';
import { Rollouts } from '../../host/edge/rollout/rollouts.ts';
import { Standing } from '../../host/edge/rollout/standing.ts';
import { type EdgeReport, Roster } from '../../host/edge/roster.ts';
import { emptyHealth, latencyBucket, latencyBuckets, type VersionHealth } from '../../host/execution/health.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import { type Fixture, openFixture, upload } from '../deploy/fixture.ts';
import { Random } from './random.ts';

const failingEvery = 4;
const rules = { failures: 3, of: 6, trialMs: 60_000 };
const plan = { canary: { tier: 'canary' }, shares: [0.4], holdMs: 2000, minRequests: 10, maxErrorShare: 0.2 };

type Said = EdgeReport & { functions: ReturnType<Standing['served']> };

const healthOf = (failed: boolean): VersionHealth => {
  const health = { ...emptyHealth(), requests: 1, failures: failed ? 1 : 0 };
  health.latency[latencyBucket(5)] = 1;
  return health;
};

/** An edge over its own Table, which a restart keeps. `record`: what it was told last of the function. */
class SimulatedEdge {
  readonly id: string;
  readonly labels: Record<string, string>;
  readonly table = new MemoryTable();
  readonly clock: { now: number };
  standing!: Standing;
  record: FunctionRecord | undefined;
  heard = 0;
  boot = 0;
  sequence = 0;
  disconnect: (() => void) | undefined;
  readonly taken: TakenBack[] = [];

  constructor(id: string, labels: Record<string, string>, clock: { now: number }) {
    this.id = id;
    this.labels = labels;
    this.clock = clock;
  }

  async start(): Promise<void> {
    this.boot = ++this.clock.now;
    this.sequence = 0;
    const { table, labels, clock } = this;
    const onError = (error: unknown): void => assert.unreachable(String(error));
    this.standing = new Standing({ table, labels, rules, now: () => clock.now, onTakeBack: (taken) => void this.taken.push(taken), onError });
    this.standing.id = this.id;
    await this.standing.open();
  }

  /** Records come in any order: the feed leaves out those that are older. */
  hear(revision: number, record: FunctionRecord | undefined): void {
    if (revision <= this.heard) return;
    this.heard = revision;
    if (!record && this.record) this.standing.forget('default', this.record.name);
    this.record = record;
    this.serves();
  }

  serves(): number | undefined {
    return this.record && this.standing.targets('default', this.record)[0]?.version;
  }

  say(): Said {
    const functions = this.standing.served();
    const takenBack = this.standing.takenBack();
    return {
      name: this.id,
      product: '1',
      revision: this.heard,
      draining: false,
      labels: this.labels,
      boot: this.boot,
      sequence: ++this.sequence,
      takenBack,
      awaited: [],
      functions,
    };
  }
}

/** An origin, its edges, and a line between them that loses, repeats and reorders. */
class World {
  readonly random: Random;
  readonly clock = { now: 1_000_000 };
  readonly edges = new Map<string, SimulatedEdge>();
  /** Versions that fail. */
  readonly bad = new Set<number>();
  origin!: Fixture;
  roster!: Roster;
  rollouts!: Rollouts;
  revision = 0;
  told: [string, number, FunctionRecord | undefined][] = [];
  said: [string, Said][] = [];
  advanced = new Set<number>();
  done: number[] = [];

  constructor(seed: number) {
    this.random = new Random(seed);
  }

  async open(): Promise<void> {
    const { clock } = this;
    this.origin = await openFixture({ now: () => clock.now, rolling: (tenant, name) => this.rollouts.begin(tenant, name) });
    await this.boot();
  }

  /** What a killed origin does when it starts again: everything but the Table is new. */
  async boot(): Promise<void> {
    const { read, write } = this.origin.deployments.functions;
    this.roster = new Roster(this.origin.table, { max: 100, forgetMs: 1e12 }, () => this.clock.now);
    await this.rollouts?.close();
    this.rollouts = new Rollouts({
      read,
      write,
      tenants: async () => ['default'],
      edges: () => this.roster.all(),
      onMove: (_tenant, record) => void (record.state === 'done' && this.done.push(record.version)),
      onError: (error) => assert.unreachable(String(error)),
      now: () => this.clock.now,
      everyMs: 1_000_000,
    });
    await this.rollouts.open();
    for (const edge of this.edges.values()) if (edge.disconnect) this.connect(edge);
  }

  connect(edge: SimulatedEdge): void {
    edge.disconnect = this.roster.connect(
      edge.id,
      () => undefined,
      () => undefined,
    );
  }

  async join(id: string, labels: Record<string, string>): Promise<void> {
    const edge = new SimulatedEdge(id, labels, this.clock);
    await edge.start();
    await this.roster.join(id);
    this.edges.set(id, edge);
    this.connect(edge);
    await this.deliver(id, edge.say());
  }

  async live(): Promise<FunctionRecord | undefined> {
    return this.origin.deployments.functions.read.find('default', 'f');
  }

  async deploy(isBad: boolean, rollout: unknown = plan): Promise<number> {
    const module = await upload(this.origin, 'default', `${this.random.next()}`);
    const { version } = await this.origin.deployments.functions.write.deploy('default', { name: 'f', module, ...(rollout ? { rollout } : {}) });
    if (isBad) this.bad.add(version.version);
    return version.version;
  }

  async tell(): Promise<void> {
    const record = await this.live();
    this.revision++;
    for (const [id, edge] of this.edges) if (edge.disconnect) this.told.push([id, this.revision, structuredClone(record)]);
  }

  async deliver(id: string, said: Said): Promise<void> {
    const known = await this.roster.find(id).catch(() => undefined);
    if (known && known.state !== 'removed' && (await this.roster.report(id, said))) this.rollouts.report(id, said.boot, said.functions);
  }

  /** Some requests at every edge, and what it says of them. */
  serve(): void {
    for (const edge of this.edges.values()) {
      for (let i = this.random.whole(0, 3); i > 0; i--) {
        const version = edge.serves();
        if (version === undefined) continue;
        const failed = this.bad.has(version) && this.random.whole(1, failingEvery) > 1;
        edge.standing.observe({ tenant: 'default', function: 'f', version }, healthOf(failed));
      }
      if (edge.disconnect) this.said.push([edge.id, edge.say()]);
    }
  }

  async carry(isCalm: boolean): Promise<void> {
    const [told, said] = [this.told, this.said];
    [this.told, this.said] = [[], []];
    const fate = (): 'now' | 'lost' | 'twice' | 'late' => (isCalm ? 'now' : this.random.pick(['now', 'now', 'now', 'lost', 'twice', 'late']));
    for (const item of told) {
      const [id, revision, record] = item;
      const end = fate();
      if (end === 'late') this.told.push(item);
      // What is lost of the feed is asked for again, so it only comes late.
      else if (end === 'lost') this.told.unshift(item);
      else this.edges.get(id)?.hear(revision, record);
    }
    for (const item of said) {
      const end = fate();
      if (end === 'late') this.said.push(item);
      for (let times = { now: 1, lost: 0, twice: 2, late: 0 }[end]; times > 0; times--) await this.deliver(...item);
    }
  }

  /** What must hold in every moment. */
  async check(): Promise<void> {
    const record = await this.live();
    assert.is(this.origin.deployments.routeTable?.functions[0]?.version, record?.live[0]?.version, 'the origin serves what is live');
    const rollout = record && (await this.origin.deployments.functions.read.rollout('default', 'f'));
    assert.is(record?.staged !== undefined, rollout?.state === 'running', 'a version is on its way while its rollout is under way, and no longer');
    for (const edge of this.edges.values()) {
      const version = edge.serves();
      if (!edge.record) continue;
      const { live, history, staged } = edge.record;
      assert.ok([staged?.version, live[0]?.version, history.at(-1)].includes(version), `edge ${edge.id} serves ${version} of ${JSON.stringify(edge.record)}`);
      if (staged && version === staged.version && staged.below === 0) assert.is(edge.labels.tier, 'canary', 'canaries come first');
      const refused = edge.taken.filter(({ adoption }) => adoption === staged?.adoption || adoption === edge.record?.adoption);
      if (history.length > 0) for (const taken of refused) assert.is.not(version, taken.version, `edge ${edge.id} serves again what it took back`);
    }
  }
}

type Act = (world: World) => Promise<unknown>;
const ignoring = (action: Promise<unknown>): Promise<unknown> =>
  action.catch((error: { code?: string }) => assert.ok(['conflict', 'not-found', 'version-not-found'].includes(error.code ?? ''), String(error)));
let joined = 0;

const acts: readonly (readonly [weight: number, act: Act])[] = [
  [3, (world) => world.deploy(world.random.chance(0.4))],
  [1, (world) => world.deploy(world.random.chance(0.3), null)],
  [2, (world) => ignoring(world.rollouts.abort('default', 'f'))],
  [
    1,
    async (world) => {
      const staged = (await world.live())?.staged;
      if (staged) world.advanced.add(staged.version);
      await ignoring(world.rollouts.advance('default', 'f'));
    },
  ],
  [1, (world) => ignoring(world.origin.deployments.functions.write.rollback('default', 'f'))],
  [1, (world) => ignoring(world.origin.deployments.functions.write.remove('default', 'f'))],
  [3, (world) => world.boot()],
  [
    3,
    async (world) => {
      const edge = world.random.pick([...world.edges.values()]);
      if (edge) await edge.start();
    },
  ],
  [
    4,
    async (world) => {
      const edge = world.random.pick([...world.edges.values()]);
      edge?.disconnect?.();
      if (edge) edge.disconnect = undefined;
    },
  ],
  [2, (world) => world.join(`late-${joined++}`, world.random.chance(0.3) ? { tier: 'canary' } : {})],
  [
    1,
    async (world) => {
      const edge = world.random.pick([...world.edges.values()]);
      if (!edge || world.edges.size < 3) return;
      edge.disconnect?.();
      world.edges.delete(edge.id);
      await world.roster.remove(edge.id);
    },
  ],
];

const weighted: readonly Act[] = acts.flatMap(([weight, act]) => new Array<Act>(weight).fill(act));

const reconnect = (world: World): void => {
  for (const edge of world.edges.values()) if (!edge.disconnect) world.connect(edge);
};

async function live(world: World, steps: number): Promise<void> {
  for (let step = 0; step < steps; step++) {
    world.clock.now += world.random.whole(1, 800);
    if (world.random.chance(0.12)) await world.random.pick(weighted)(world);
    if (world.random.chance(0.2)) reconnect(world);
    await world.tell();
    world.serve();
    await world.carry(false);
    await world.rollouts.check();
    await world.check();
  }
}

/** Nobody does anything, and the line is well: what is under way must end. */
async function settle(world: World): Promise<void> {
  reconnect(world);
  for (let step = 0; step < 60; step++) {
    world.clock.now += 500;
    await world.tell();
    world.serve();
    await world.carry(true);
    await world.rollouts.check();
    await world.check();
  }
}

test('Rollouts: whatever is lost, repeated or restarted, versions come in stages, bad ones come nowhere, and each rollout ends', async () => {
  let [ended, failed] = [0, 0];
  for (let seed = 1; seed <= 150; seed++) {
    const world = new World(seed);
    await world.open();
    for (const [id, tier] of [
      ['a', 'canary'],
      ['b', 'main'],
      ['c', 'main'],
      ['d', 'main'],
    ] as const)
      await world.join(id, { tier });
    await world.deploy(false);
    await live(world, 80);
    await settle(world);
    const record = await world.live();
    const rollout = record && (await world.origin.deployments.functions.read.rollout('default', 'f'));
    const canaries = [...world.edges.values()].some(({ labels }) => labels.tier === 'canary');
    if (canaries) assert.is.not(rollout?.state, 'running', `seed ${seed}: the rollout ends`);
    for (const version of world.done)
      if (world.bad.has(version)) assert.ok(world.advanced.has(version), `seed ${seed}: version ${version} fails and went everywhere`);
    if (!record?.staged)
      for (const edge of world.edges.values()) {
        const tookBack = edge.taken.some(({ adoption }) => adoption === record?.adoption);
        assert.is(edge.serves(), tookBack ? record?.history.at(-1) : record?.live[0]?.version, `seed ${seed}: edge ${edge.id}`);
      }
    if (rollout?.state === 'done') ended++;
    if (rollout?.state === 'failed') failed++;
    await world.rollouts.close();
  }
  assert.ok(ended >= 10 && failed >= 10, `the runs are worth something: ${ended} went everywhere, ${failed} were taken back`);
});

test('latencyBucket: quantiles are too large by at most a quarter', () => {
  for (const ms of [0.05, 0.2, 1, 7, 99, 1234, 60_000, 10 ** 7]) assert.ok(latencyBucket(ms) < latencyBuckets);
});

test.run();
