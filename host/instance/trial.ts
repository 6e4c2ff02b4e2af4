/** Asks a sidecar whether it takes its configuration, in an instance that reaches nobody and is dropped afterwards. */
import { Err } from '../base/result.ts';
import { hostNameOf } from '../component/host.ts';
import type { Plan } from '../component/plan.ts';
import { CONFIGURATION, LIFECYCLE, type Link, NEXT } from '../sidecar/composition.ts';
import type { ExecutionPorts, Peers } from '../wasi/context.ts';
import { hostInterfaces } from '../wasi/p2/index.ts';
import { closeDeadline, openDeadline } from './deadlines.ts';
import type { Ended } from './outcome.ts';
import { type CompiledSidecar, makePart } from './parts.ts';

/** Longest message of a sidecar that is shown. */
const MESSAGE_MAX = 1000;
const inconclusive: ReadonlySet<string> = new Set(['time-limit', 'cpu-limit']);

const ownInterfaces = new Set([CONFIGURATION, NEXT]);

/** What only other components provide: calls of it end the trial. */
const linksOf = ({ imports }: Plan): Link[] =>
  imports
    .filter(({ interface: name, functions }) => functions.length > 0 && !ownInterfaces.has(name) && !hostInterfaces.has(hostNameOf(name, hostInterfaces)))
    .map(({ interface: name }) => ({ from: 1, interface: name, to: 0, exported: name }));

/** What a sidecar reaches in a trial; `reached` once it asked for something that only an execution has. */
class Seclusion {
  reached = false;
  readonly ports: ExecutionPorts;
  readonly peers: Peers;

  constructor(settings: CompiledSidecar['settings']) {
    const refuse = (): never => {
      this.reached = true;
      throw new Error('there is nobody to reach in a trial');
    };
    const silent = { write: () => undefined, record: () => undefined };
    this.ports = { id: 'trial', log: silent, outbound: { send: refuse }, keyvalue: { open: refuse, within: refuse, refresh: refuse } };
    this.peers = { call: async () => refuse(), next: () => undefined, settings: () => settings, record: () => undefined };
  }
}

/**
 * Why it does not take its settings: what `configure` answers, or how it or the initialisation traps. Undefined if it takes
 * them, and where a trial cannot tell: it has no `configure`, wants to reach somebody, or takes longer than `timeMs`.
 */
export async function tryConfiguration(sidecar: CompiledSidecar, timeMs: number): Promise<string | undefined> {
  const { plan } = sidecar.artifact;
  if (!plan.exports.some((exported) => exported.interface === LIFECYCLE)) return undefined;
  const seclusion = new Seclusion(sidecar.settings);
  const part = makePart({ sidecars: [sidecar], links: linksOf(plan), chain: [], order: [1] }, 1, sidecar);
  const instance = part.make(seclusion.ports, seclusion.peers);
  const deadline = openDeadline(instance, timeMs);
  const said = (ended: Ended): string | undefined => (seclusion.reached || inconclusive.has(ended.code) ? undefined : `${ended.code}: ${ended.message}`);
  try {
    const ended = await instance.initialise();
    if (ended) return said(ended);
    instance.begin(seclusion.ports, performance.now());
    const result = await instance.enter(instance.exported(LIFECYCLE, 'configure'), [sidecar.settings]);
    return result instanceof Err && !seclusion.reached ? String(result.value).slice(0, MESSAGE_MAX) : undefined;
  } catch (error) {
    return said(instance.endedBy(error));
  } finally {
    closeDeadline(deadline);
    instance.destroy();
  }
}
