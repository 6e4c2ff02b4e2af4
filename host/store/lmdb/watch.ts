/**
 * Who is told of what changed. A hub belongs to one handle on an environment.
 * Three ways lead to it: this handle's own commits; a broadcast from other threads of the process, which is sent only
 * while some thread watches; and, for other processes, a look every `pollMs` whether the environment has a newer
 * transaction, and then a comparison of all watched keys with what was told last.
 * It starts with the first watch and ends with `close` or the last watch.
 */
import type { Change, Entry } from '../table.ts';

export type Watched = {
  read(key: string): Entry | undefined;
  /** Key and revision of all records with the prefix. */
  revisions(prefix: string): Iterable<[key: string, revision: number]>;
  refresh(): void;
  lastTransaction(): number;
};

export type HubOptions = {
  channel: string;
  /** Number of watches in the whole process. */
  watches: SharedArrayBuffer;
  /** 0: nobody in another process writes. */
  pollMs: number;
};

type Watch = { prefix: string; told: Map<string, number>; listener: (change: Change) => void };

/** Of the time between two comparisons, at most this part is spent on them. */
const pollShare = 1 / 20;

export class WatchHub {
  private readonly source: Watched;
  private readonly options: HubOptions;
  private readonly inProcess: Int32Array;
  private readonly watches = new Set<Watch>();
  private unsent = new Set<string>();
  private channel: BroadcastChannel | undefined;
  private timer: NodeJS.Timeout | undefined;
  private compared = 0;

  constructor(source: Watched, options: HubOptions) {
    this.source = source;
    this.options = options;
    this.inProcess = new Int32Array(options.watches, 0, 1);
  }

  watch(prefix: string, listener: (change: Change) => void): () => void {
    this.source.refresh();
    const watch: Watch = { prefix, told: new Map(this.source.revisions(prefix)), listener };
    this.watches.add(watch);
    Atomics.add(this.inProcess, 0, 1);
    this.listen();
    return () => this.unwatch(watch);
  }

  /** To be called with the keys of each commit of this handle, once it is visible. */
  committed(keys: Iterable<string>): void {
    if (Atomics.load(this.inProcess, 0) === 0) return;
    if (this.unsent.size === 0) setImmediate(() => this.send());
    for (const key of keys) this.unsent.add(key);
  }

  close(): void {
    for (const watch of [...this.watches]) this.unwatch(watch);
    this.channel?.close();
    this.channel = undefined;
  }

  private unwatch(watch: Watch): void {
    if (!this.watches.delete(watch)) return;
    Atomics.sub(this.inProcess, 0, 1);
    if (this.watches.size > 0) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.channel) this.channel.onmessage = null;
  }

  private listen(): void {
    this.open().onmessage = (event) => this.changed((event as MessageEvent<string[]>).data);
    if (this.options.pollMs === 0 || this.timer) return;
    this.compared = this.source.lastTransaction();
    this.poll(this.options.pollMs);
  }

  private open(): BroadcastChannel {
    if (!this.channel) {
      this.channel = new BroadcastChannel(this.options.channel);
      (this.channel as BroadcastChannel & { unref(): void }).unref();
    }
    return this.channel;
  }

  private send(): void {
    const keys = [...this.unsent];
    this.unsent = new Set();
    if (Atomics.load(this.inProcess, 0) > this.watches.size) this.open().postMessage(keys);
    this.changed(keys);
  }

  private changed(keys: string[]): void {
    if (this.watches.size === 0) return;
    this.source.refresh();
    for (const watch of [...this.watches]) {
      for (const key of keys) if (key.startsWith(watch.prefix)) this.compare(watch, key);
    }
  }

  private compare(watch: Watch, key: string): void {
    const entry = this.source.read(key);
    if ((entry?.revision ?? 0) === (watch.told.get(key) ?? 0) || !this.watches.has(watch)) return;
    if (entry) watch.told.set(key, entry.revision);
    else watch.told.delete(key);
    watch.listener({ key, entry });
  }

  private poll(waitMs: number): void {
    this.timer = setTimeout(() => {
      const began = performance.now();
      this.compareAll();
      if (this.watches.size > 0) this.poll(Math.max(this.options.pollMs, (performance.now() - began) / pollShare));
    }, waitMs).unref();
  }

  private compareAll(): void {
    const transaction = this.source.lastTransaction();
    if (transaction === this.compared) return;
    this.compared = transaction;
    for (const watch of [...this.watches]) {
      const gone = new Set(watch.told.keys());
      for (const [key, revision] of [...this.source.revisions(watch.prefix)]) {
        gone.delete(key);
        if (watch.told.get(key) !== revision) this.compare(watch, key);
      }
      for (const key of gone) this.compare(watch, key);
    }
  }
}
