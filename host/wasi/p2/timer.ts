import type { Listener, Readiness } from './pollable.ts';

const delayMsMax = 0x7fff_ffff;

/**
 * Ready from `deadlineNs` on, by `process.hrtime.bigint()`. The timer of the runtime starts with the first listener
 * and ends with the last; delays that it cannot take are taken in several steps.
 */
export class Timer implements Readiness {
  private readonly deadlineNs: bigint;
  private listeners: Set<Listener> | null = null;
  private timeout: NodeJS.Timeout | null = null;

  constructor(deadlineNs: bigint) {
    this.deadlineNs = deadlineNs;
  }

  get ready(): boolean {
    return process.hrtime.bigint() >= this.deadlineNs;
  }

  listen(listener: Listener): void {
    this.listeners ??= new Set();
    this.listeners.add(listener);
    if (this.timeout === null) this.arm();
  }

  unlisten(listener: Listener): void {
    this.listeners?.delete(listener);
    if (this.timeout === null || (this.listeners !== null && this.listeners.size > 0)) return;
    clearTimeout(this.timeout);
    this.timeout = null;
  }

  private arm(): void {
    const leftMs = (this.deadlineNs - process.hrtime.bigint() + 999_999n) / 1_000_000n;
    const delayMs = leftMs > delayMsMax ? delayMsMax : Math.max(1, Number(leftMs));
    this.timeout = setTimeout(() => this.fire(), delayMs);
  }

  private fire(): void {
    this.timeout = null;
    if (!this.ready) {
      this.arm();
      return;
    }
    const listeners = [...(this.listeners ?? [])];
    this.listeners = null;
    for (const listener of listeners) listener();
  }
}
