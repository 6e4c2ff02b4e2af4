/** A value that is gone at `until`, in milliseconds since 1970. */
export type Expiring = { until: number; base64: string };

/** What the Table holds of a key: the bytes themselves, unless they expire. */
export type Stored = Uint8Array | Expiring;

export const isGone = (stored: Stored, nowMs: number): boolean => !(stored instanceof Uint8Array) && stored.until <= nowMs;

export const bytesOf = (stored: Stored): Uint8Array => (stored instanceof Uint8Array ? stored : Buffer.from(stored.base64, 'base64'));

export const storedOf = (value: Uint8Array, until: number | undefined): Stored =>
  until === undefined ? value : { until, base64: Buffer.from(value).toString('base64') };

/** Entries that expire, in the order of their time: `~node/expiry/TIME/ENTRY`. */
export const expiryPrefix = '~node/expiry/';
const timeDigits = 9;
const timeText = (until: number): string => Math.max(0, until).toString(36).padStart(timeDigits, '0');

export const expiryKey = (until: number, entry: string): string => `${expiryPrefix}${timeText(until)}/${entry}`;
/** After all entries that are gone at `nowMs`, before all others. */
export const expiryEnd = (nowMs: number): string => `${expiryPrefix}${timeText(nowMs + 1)}`;
export const entryOfExpiry = (key: string): string => key.slice(expiryPrefix.length + timeDigits + 1);
