import type { GuestRequest } from '../wasi/context.ts';
import type { AtRevision } from '../wasi/keyvalue-port.ts';
import type { Overlay } from '../wasi/overlay.ts';
import type { Attachments } from '../wasi/shared-port.ts';
import type { ExecutionResources } from './execution-resources.ts';
import type { SharedClient } from './shared-client.ts';
import type { SessionWanted } from './shared-protocol.ts';
import {
  attachmentsOf,
  byOf,
  isOfOneFunction,
  type Owner,
  requestKey,
  resourceName,
  type SessionDeclaration,
  type SharedDeclaration,
  sessionsBucket,
} from './shared-resources.ts';

export type AttachDecision = { atMs: number; kind: 'attach'; choice: string; inputs: Record<string, string>; passedOver: [] };

export type Sharing = {
  owner: Owner;
  resources: readonly SharedDeclaration[];
  session: SessionDeclaration | undefined;
  /** As `Attachments` have it. */
  incarnation: AtRevision | undefined;
};

/**
 * What one execution shares, from its arrival on: its turn in a session, then what is to be attached. Begins with its request;
 * ends with `leave`.
 */
export class Admission {
  readonly resources: ExecutionResources;
  readonly #client: SharedClient;
  readonly #attachments: Attachments;
  readonly #wanted: SessionWanted | undefined;
  #entered = false;

  constructor(
    client: SharedClient,
    execution: string,
    { owner, resources, session, incarnation }: Sharing,
    request: GuestRequest,
    overlay: Overlay | undefined,
  ) {
    this.#client = client;
    this.#attachments = { function: owner.function, resources: attachmentsOf(owner, resources, request), session: null, incarnation };
    this.resources = client.open(execution, this.#attachments, { overlay });
    const digest = session && requestKey(request, session.from);
    if (session && digest !== undefined) {
      const { serialize, idleMs, maxMs } = session;
      const sessions = sessionsBucket(owner, session.name);
      this.#wanted = { sessions, digest, serialize, idleMs, maxMs, incarnation: isOfOneFunction(sessions) ? incarnation : undefined };
    }
  }

  /** What tells its session from others of its function; undefined if it has none. */
  get session(): string | undefined {
    return this.#wanted?.digest;
  }

  /** Waits for its turn in its session. @throws Problem */
  async enter(): Promise<void> {
    const wanted = this.#wanted;
    if (!wanted) return;
    this.#entered = true;
    const bucket = await this.#client.enter(this.resources.owner, wanted);
    this.#attachments.session = { id: wanted.digest, bucket };
  }

  /** What the execution shares and why, as a decision of the moment when it was attached; none if it was not. */
  decision(atMs: number): AttachDecision | undefined {
    const { resources, session } = this.#attachments;
    if (Number.isNaN(atMs) || (resources.length === 0 && !session)) return undefined;
    const inputs = Object.fromEntries(resources.map(({ id }) => [resourceName(id), `by ${byOf(id)}`]));
    return {
      atMs,
      kind: 'attach',
      choice: [...Object.keys(inputs), ...(session ? ['session'] : [])].join(', '),
      inputs: { ...inputs, ...(session && { session: session.id }) },
      passedOver: [],
    };
  }

  /** The execution has ended, or waits no more. What it holds it keeps until its commit, if it ended well in an overlay. */
  leave(endedWell: boolean): void {
    this.resources.release(endedWell);
    if (!this.#entered || !this.#wanted) return;
    this.#entered = false;
    this.#client.leave(this.resources.owner, this.resources.runAfter(endedWell));
  }
}
