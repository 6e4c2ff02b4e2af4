/**
 * What sidecars recorded for later executions, by function and sidecar. Each thread of a node has a copy and hears of
 * every change; the supervisor keeps them. A copy begins with what the supervisor tells it, and ends with `close`.
 */

/** Settings by name, over those of the manifest; `from` is the execution that recorded them. */
export type Recorded = { readonly settings: Readonly<Record<string, string>>; readonly from: string };

/** `known`: all that there was at a `hello` has been told. */
type Message = { kind: 'hello' } | { kind: 'known' } | { kind: 'recorded'; key: string; recorded: Recorded | null };

/** `tenant/function/sidecar`. */
export const recordedKey = (tenant: string, name: string, sidecar: string): string => `${tenant}/${name}/${sidecar}`;

/** `ready`: resolves when `get` knows what was recorded before this thread began; not given where it always does. */
export type RecordedSettings = { readonly ready?: Promise<void>; get(key: string): Recorded | undefined; set(key: string, recorded: Recorded | null): void };

/** Nobody waits longer for what was recorded. */
const helloMs = 2000;

export class RecordedCopy implements RecordedSettings {
  private readonly told = Promise.withResolvers<void>();
  private readonly channel: BroadcastChannel;
  private readonly known = new Map<string, Recorded>();
  private readonly onChange: ((key: string, recorded: Recorded | null) => void) | undefined;

  /**
   * @param channel the node's: threads of one node name the same
   * @param onChange told of changes by other threads; whoever gives it answers those that begin
   */
  constructor(channel: string, onChange?: (key: string, recorded: Recorded | null) => void) {
    this.channel = new BroadcastChannel(channel);
    this.channel.onmessage = (event) => this.take((event as unknown as { data: Message }).data);
    (this.channel as unknown as { unref(): void }).unref();
    this.onChange = onChange;
    if (onChange) this.told.resolve();
    else {
      this.post({ kind: 'hello' });
      setTimeout(this.told.resolve, helloMs).unref();
    }
  }

  get ready(): Promise<void> {
    return this.told.promise;
  }

  private post(message: Message): void {
    this.channel.postMessage(message);
  }

  private take(message: Message): void {
    if (message.kind === 'hello') {
      if (!this.onChange) return;
      for (const [key, recorded] of this.known) this.post({ kind: 'recorded', key, recorded });
      this.post({ kind: 'known' });
      return;
    }
    if (message.kind === 'known') {
      this.told.resolve();
      return;
    }
    this.put(message.key, message.recorded);
    this.onChange?.(message.key, message.recorded);
  }

  private put(key: string, recorded: Recorded | null): void {
    if (recorded) this.known.set(key, recorded);
    else this.known.delete(key);
  }

  get(key: string): Recorded | undefined {
    return this.known.get(key);
  }

  /** For this thread at once, for the others in a moment. Null forgets. */
  set(key: string, recorded: Recorded | null): void {
    this.put(key, recorded);
    this.post({ kind: 'recorded', key, recorded });
  }

  keys(): string[] {
    return [...this.known.keys()];
  }

  close(): void {
    this.channel.close();
  }
}
