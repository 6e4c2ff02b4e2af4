import { type ErrorCode, Problem } from '../base/errors.ts';
import { EventTooLarge, type ServerEvent, serverEvents } from '../base/server-events.ts';
import { backoffMs, pause } from './backoff.ts';
import { type FeedMessage, judge, type Position, parseHello } from './message.ts';
import type { OriginClient } from './origin-client.ts';
import { commonProtocol, protocolConflict, protocols } from './protocol.ts';
import { fingerprintOf } from './signing.ts';

export type LinkState = 'connecting' | 'connected' | 'cut-off';
export const alarmWhys = ['key', 'signature', 'form', 'version', 'backwards', 'refused', 'full'] as const;
/** Why the origin is not believed or followed. These need somebody to look: the edge goes on with what it has. */
export type Alarm = { at: number; why: (typeof alarmWhys)[number]; detail: string };

export type LinkOptions = {
  client: OriginClient;
  /** Whom to believe and what is there already. `key` '': whoever answers first. */
  position: Position;
  /** The fingerprint that the origin's key must have, if one was given. */
  fingerprint: string | undefined;
  /** As the origin knows this edge. */
  edge: string;
  /** Takes a message over: resolves when functions are served by it. Called one at a time. */
  apply: (message: FeedMessage, at: Position) => Promise<void>;
  onAlarm: (alarm: Alarm) => void;
  /** The origin wants no new requests to come here. */
  onDrain: (draining: boolean) => void;
  /** Called when the state changes. */
  onState?: (state: LinkState) => void;
  /** Milliseconds since 1970. */
  now?: () => number;
  retry?: { baseMs: number; maxMs: number };
};

const eventCharactersMax = 256 * 1024 * 1024;
/** Missed heartbeats after which the connection counts as dead. */
const heartbeatsMissed = 3;
const firstEventMs = 15_000;
const retryDefault = { baseMs: 300, maxMs: 10_000 };
/** Attempts to take a message over on one connection while the store is full. */
const fullAttempts = 8;

/** Why an origin that answers is not followed, by the code of its refusal. One that has no feed is no origin, or of before there were any. */
const whys: { readonly [code in ErrorCode]?: Alarm['why'] } = {
  unauthorized: 'refused',
  forbidden: 'refused',
  'not-found': 'version',
  'protocol-unsupported': 'version',
  'store-full': 'full',
};

/** Alarms that end with a greeting; the others end when a message is taken. */
const disproved: ReadonlySet<Alarm['why']> = new Set(['key', 'version', 'refused']);

class Distrust extends Error {
  readonly why: Alarm['why'];
  constructor(why: Alarm['why'], detail: string) {
    super(detail);
    this.why = why;
  }
}

/** Undefined: nothing that somebody would have to look after. */
const whyOf = (error: unknown): Alarm['why'] | undefined => {
  if (error instanceof Distrust) return error.why;
  if (error instanceof EventTooLarge) return 'form';
  return error instanceof Problem ? whys[error.code] : undefined;
};

/**
 * Follows the feed of an origin, connects again when it breaks off, and never gives up. Begins with `start`, ends with `close`.
 * What it cannot believe it leaves alone: the edge stays at its position.
 */
export class OriginLink {
  private readonly options: LinkOptions;
  private readonly ending = new AbortController();
  private running: Promise<void> = Promise.resolve();
  private position: Position;
  private needsWhole = false;
  private attempt = 0;
  private state: LinkState = 'connecting';
  private since: number;
  private alarm: Alarm | undefined;
  private failure: string | undefined;
  private protocol = protocols.oldest;

  constructor(options: LinkOptions) {
    this.options = options;
    this.position = options.position;
    this.since = this.now();
  }

  start(): void {
    this.running = this.run();
  }

  async close(): Promise<void> {
    this.ending.abort();
    await this.running;
  }

  /** What was spoken last. */
  get spoken(): number {
    return this.protocol;
  }

  get isConnected(): boolean {
    return this.state === 'connected';
  }

  /** `since`: milliseconds since 1970. `failure`: why it is not connected; `alarm`: the last reason not to believe the origin, until it is believed again. */
  status(): { state: LinkState; since: number; revision: number; key: string; failure: string | undefined; alarm: Alarm | undefined } {
    const { state, since, failure, alarm, position } = this;
    return { state, since, revision: position.revision, key: position.key, failure, alarm };
  }

  private get retry(): { baseMs: number; maxMs: number } {
    return this.options.retry ?? retryDefault;
  }

  private now(): number {
    return (this.options.now ?? Date.now)();
  }

  private turn(state: LinkState): void {
    if (this.state === state) return;
    this.state = state;
    this.since = this.now();
    this.options.onState?.(state);
  }

  private async run(): Promise<void> {
    const { signal } = this.ending;
    while (!signal.aborted) {
      const beganMs = performance.now();
      try {
        await this.follow();
        this.failure = 'the origin closed the connection';
      } catch (error) {
        if (signal.aborted) return;
        this.note(error);
      }
      this.turn('cut-off');
      // An origin that greets, and then says what cannot be taken, is not asked more and more often.
      if (performance.now() - beganMs >= this.retry.maxMs) this.attempt = 0;
      await pause(backoffMs(this.attempt, this.retry), signal);
      this.attempt++;
    }
  }

  private note(error: unknown): void {
    this.failure = error instanceof Error ? error.message : String(error);
    const why = whyOf(error);
    if (why === undefined) return;
    const isNew = this.alarm?.why !== why || this.alarm.detail !== this.failure;
    this.alarm = { at: this.now(), why, detail: this.failure };
    if (isNew) this.options.onAlarm(this.alarm);
  }

  /** One connection, from the request to its end. */
  private async follow(): Promise<void> {
    const watchdog = new Watchdog();
    try {
      watchdog.arm(firstEventMs);
      const { revision } = this.position;
      const last: Record<string, string> = revision > 0 && !this.needsWhole ? { 'last-event-id': `${revision}` } : {};
      const headers = { 'accept': 'text/event-stream', 'nacelle-edge': this.options.edge, ...last };
      const response = await this.options.client.request('/v1/feed', { headers, signal: AbortSignal.any([this.ending.signal, watchdog.signal]) });
      let silenceMs = 0;
      for await (const event of serverEvents(
        heard(response, () => watchdog.arm(silenceMs || firstEventMs)),
        eventCharactersMax,
      )) {
        watchdog.disarm();
        if (silenceMs === 0) silenceMs = this.greet(event) * heartbeatsMissed;
        else await this.take(event);
        watchdog.arm(silenceMs);
      }
    } finally {
      watchdog.disarm();
    }
  }

  /** @returns how often the origin gives a sign of life, in milliseconds */
  private greet({ event, data }: ServerEvent): number {
    const hello = event === 'hello' ? parseHello(data) : undefined;
    if (!hello) throw new Distrust('form', 'what answers there is not an origin');
    const spoken = { oldest: hello.format, newest: hello.format };
    if (commonProtocol(protocols, spoken) === undefined) throw new Distrust('version', protocolConflict(protocols, spoken));
    this.trust(hello.key);
    this.protocol = hello.format;
    if (this.alarm && disproved.has(this.alarm.why)) this.alarm = undefined;
    this.options.onDrain(hello.draining);
    this.failure = undefined;
    this.turn('connected');
    return hello.heartbeatMs;
  }

  private trust(key: string): void {
    const { fingerprint } = this.options;
    const offered = fingerprintOf(key);
    if (fingerprint !== undefined && offered !== fingerprint) throw new Distrust('key', `the origin has the key ${offered}, it must have ${fingerprint}`);
    const { key: pinned } = this.position;
    if (pinned === key) return;
    if (pinned !== '' && fingerprint === undefined)
      throw new Distrust(
        'key',
        `the origin has the key ${offered}, this edge joined one with ${fingerprintOf(pinned)} (if it is right: --origin-key ${offered})`,
      );
    this.position = { key, revision: 0 };
  }

  /** While the store is full the connection stays for some time: events for the origin are sent meanwhile, which may make room. */
  private async apply(message: FeedMessage, at: Position): Promise<void> {
    const { signal } = this.ending;
    for (let failed = 0; ; failed++) {
      try {
        return await this.options.apply(message, at);
      } catch (error) {
        const isFull = error instanceof Problem && error.code === 'store-full';
        if (!isFull || failed >= fullAttempts || signal.aborted) throw error;
        this.note(error);
        await pause(backoffMs(failed, this.retry), signal);
      }
    }
  }

  private async take({ event, data }: ServerEvent): Promise<void> {
    if (event === 'drain') this.options.onDrain(data === 'true');
    if (event !== 'state') return;
    const verdict = judge(this.position, data);
    if (verdict.kind === 'refuse') throw new Distrust(verdict.why, verdict.detail);
    if (verdict.kind === 'gap') {
      this.needsWhole = true;
      throw new Problem('unavailable', 'a message of the origin was lost: asking for the whole state');
    }
    if (verdict.kind === 'apply') {
      const at = { key: this.position.key, revision: verdict.message.revision };
      await this.apply(verdict.message, at);
      this.position = at;
      this.needsWhole = false;
      this.attempt = 0;
    }
    this.alarm = undefined;
  }
}

/** Aborts its signal when it is armed and nothing happens. */
class Watchdog {
  private readonly dead = new AbortController();
  private timer: NodeJS.Timeout | undefined;

  get signal(): AbortSignal {
    return this.dead.signal;
  }

  arm(ms: number): void {
    this.disarm();
    this.timer = setTimeout(() => this.dead.abort(new Error('the origin is silent')), ms);
  }

  disarm(): void {
    clearTimeout(this.timer);
  }
}

/** The body of an answer; `onBytes` is called whenever something arrives. */
async function* heard({ body }: Response, onBytes: () => void): AsyncGenerator<Uint8Array, void, void> {
  if (!body) return;
  for await (const chunk of body as AsyncIterable<Uint8Array> & ReadableStream<Uint8Array>) {
    onBytes();
    yield chunk;
  }
}
