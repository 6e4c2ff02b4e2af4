/**
 * What sidecars recorded for later executions, by function and sidecar. Each thread of a node has a copy and hears of
 * every change; the supervisor keeps them. A copy begins with what the supervisor tells it, and ends with `close`.
 */

/** Settings by name, over those of the manifest; `from` is the execution that recorded them. */
export type Recorded = { readonly settings: Readonly<Record<string, string>>; readonly from: string };

type Message = { kind: 'hello' } | { kind: 'recorded'; key: string; recorded: Recorded | null };

/** `tenant/function/sidecar`. */
export const recordedKey = (tenant: string, name: string, sidecar: string): string => `${tenant}/${name}/${sidecar}`;

export type RecordedSettings = { get(key: string): Recorded | undefined; set(key: string, recorded: Recorded | null): void };

export class RecordedCopy implements RecordedSettings {
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
    if (!onChange) this.post({ kind: 'hello' });
  }

  private post(message: Message): void {
    this.channel.postMessage(message);
  }

  private take(message: Message): void {
    if (message.kind === 'hello') {
      if (this.onChange) for (const [key, recorded] of this.known) this.post({ kind: 'recorded', key, recorded });
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
