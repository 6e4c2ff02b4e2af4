/**
 * Puts a node together: with the files of host/node/ the only place that names implementations. A node begins with `startNode`, when it has its data
 * directory to itself, and ends with `close`, when its requests have been answered.
 */
import type { NodeConfig } from './config/schema.ts';
import { createControlApp } from './control/app.ts';
import type { Deployments } from './deploy/deployments.ts';
import { withoutSchedules } from './edge/schedules.ts';
import { urlOf } from './node/addresses.ts';
import { controlDeps } from './node/control.ts';
import { deployExamplesOnce, judgedVersions, lendVersion, linkForDebugging, makeAdminToken, openAsEdge, openDeployments } from './node/deployments.ts';
import { closeGround, type Ground, openGround, pinLive } from './node/ground.ts';
import { openControl, type Undo, undoAll } from './node/lifetime.ts';
import { makeComputing, makeEvents, makeFleet, makeGateways } from './node/parts.ts';
import { openRollouts, openStanding } from './node/rollouts.ts';
import { tellSubscribers } from './object/object-events.ts';

export type NodeOptions = {
  /** Deploy the functions of fixtures/examples.json, once for each data directory. */
  examples?: boolean;
  /** How long what was put off and deliveries of events, and then requests, that are under way may take when the node closes; default 10,000. */
  graceMs?: number;
};

/** A node that answers. The URLs are such that a client on this machine can use them. */
export type RunningNode = { httpUrl: string; controlUrl: string; close(): Promise<void> };

const graceMsDefault = 10_000;
const sweepEveryMs = 3_600_000;
/** A worker that prepares modules is started when the first requests have been answered. */
const warmAfterMs = 500;
/** How long live modules may take to load before the node listens all the same. */
const loadedBeforeMs = 1000;
/** How long functions that were used last may take to have an instance each. */
const warmedBeforeMs = 300;

/** Nobody waits for it: a deployment is done when it is served here. */
const tellEdges = ({ origin, log }: Ground): void => {
  origin.feed.refresh().catch((error: unknown) => log.error({ error: String(error) }, 'cannot tell edges of a change'));
};

/** @returns what ends it */
const sweepModules = ({ log }: Ground, deployments: Deployments): (() => Promise<void>) => {
  const sweep = (): Promise<void> => deployments.sweep().catch((error: unknown) => log.error({ error: String(error) }, 'cannot sweep modules'));
  let sweeping = sweep();
  const sweeper = setInterval(() => {
    sweeping = sweep();
  }, sweepEveryMs);
  return () => {
    clearInterval(sweeper);
    return sweeping;
  };
};

const openNode = async (config: NodeConfig, { examples = false, graceMs = graceMsDefault }: NodeOptions, undo: Undo): Promise<Omit<RunningNode, 'close'>> => {
  const ground = await openGround(config);
  undo.push(() => closeGround(ground));
  const control = await openControl(ground, undo);
  ground.standing = await openStanding(ground, { fleet: () => fleet, publish: () => deployments.publish() });
  const fleet = makeFleet(ground, control.address.port);
  undo.push(() => fleet.close());
  await fleet.start();
  const gateways = makeGateways(ground, fleet, control.address.port, (key, use, token) => linkForDebugging(deployments, fleet, key, use, token));
  await gateways.start();
  undo.push(() => gateways.stop(graceMs));
  undo.push(() => fleet.guarantees.stop());
  const events = makeEvents(ground, fleet, (tenant, name, version) => lendVersion(deployments, fleet, tenant, name, version));
  const http = { ...config.http };
  const computing = makeComputing(ground, gateways, fleet, http);
  ground.late.events = events;
  fleet.guarantees.letters = events.failed;
  fleet.deferrals.letters = events.failed;
  fleet.deferrals.handOver = (...waited) => events.answerLater(...waited);
  ground.objects.eventWrites = tellSubscribers(events.events);
  const pin = pinLive(ground);
  const deployments = await openDeployments(ground, fleet, computing.routes, async (table) => {
    pin(table);
    fleet.begin(table);
    await gateways.route(table);
    fleet.end(table);
    await events.update(config.edge.origin === '' ? table : withoutSchedules(table));
    tellEdges(ground);
  });
  fleet.control.deployments = judgedVersions(ground, deployments);
  const computed = computing.start(deployments);
  undo.push(() => computing.close());
  await deployments.open();
  const recent = ground.artifacts.prefetch([
    ...new Set(deployments.routeTable?.functions.flatMap(({ fleet: at, digest }) => (at === 'on-demand' ? digest : []))),
  ]);
  ground.edge = await openAsEdge(ground, deployments, events);
  fleet.review(() => deployments.publish());
  const rollouts = await openRollouts(ground, deployments, fleet, undo);
  const { files, log } = ground;
  await files.readOrMake('admin.token', () => makeAdminToken(deployments));
  if (examples) await deployExamplesOnce(ground, deployments);
  const app = createControlApp(controlDeps(ground, gateways, fleet, events, deployments, rollouts, computed, http));
  await Promise.all([gateways.loaded(loadedBeforeMs), fleet.warmUp(recent, warmedBeforeMs)]);
  await fleet.guarantees.open();
  await fleet.deferrals.open();
  await events.start();
  undo.push(async () => void (await Promise.all([fleet.deferrals.stop(graceMs), events.stop(graceMs)])));
  fleet.onFailedRequest = (message) => {
    if (message.kind === 'request-failed') void events.failed.add(message.failed);
    else events.failed.lost(message.tenant, message.function, message.execution, message.reason);
  };
  fleet.answerLater = (request) => events.answerLater(request);
  http.port = await gateways.listen();
  control.serve(app.fetch);
  const [httpUrl, controlUrl] = [urlOf(http), urlOf(control.address)];
  files.write('node.json', `${JSON.stringify({ http: httpUrl, control: controlUrl, pid: process.pid })}\n`);
  undo.push(() => files.remove('node.json'));
  undo.push(sweepModules(ground, deployments));
  ground.sweeper.start();
  undo.push(ground.held.start((error) => log.error({ error: String(error) }, 'cannot remove bytes')));
  ground.edge?.start();
  undo.push(() => ground.edge?.close());
  const warm = setTimeout(() => ground.preparer.warm(), warmAfterMs);
  undo.push(() => clearTimeout(warm));
  log.info({ http: httpUrl, control: controlUrl, data: config.data, gateways: config.gateways }, 'the node answers');
  return { httpUrl, controlUrl };
};

/**
 * Starts a node and resolves when it answers for all functions of its data directory.
 * @throws Problem `data-in-use`, `address-in-use`, `config-invalid`; then nothing is left running
 */
export const startNode = async (config: NodeConfig, options: NodeOptions = {}): Promise<RunningNode> => {
  const undo: Undo = [];
  try {
    const urls = await openNode(config, options, undo);
    return { ...urls, close: () => undoAll(undo) };
  } catch (error) {
    await undoAll(undo);
    throw error;
  }
};
