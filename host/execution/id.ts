import { randomFillSync } from 'node:crypto';

/** Digits in the order of their character codes, so that ids sort as their numbers do; no letters that look like digits. */
const digits = '0123456789abcdefghjkmnpqrstvwxyz';
const digitCodes = Uint8Array.from(digits, (digit) => digit.charCodeAt(0));

/** Where the parts of an id begin, and where it ends. */
const at = { sequence: 9, gateway: 12, random: 14, end: 28 };
const sequenceMax = 32 ** (at.gateway - at.sequence);
const randomLength = at.end - at.random;
/** Random digits that are made at once: a multiple of what one id takes. */
const randomBytes = 292 * randomLength;
const { latin1Slice } = Buffer.prototype;
const idPattern = /^[0-9a-hjkmnp-tv-z]{28}$/;

/** Largest number of a gateway thread that an id can name. */
export const gatewayMax = 1023;

/** Writes the digits of a whole number, up to 2^45, to `[start, end)`. */
const encode = (text: Uint8Array, start: number, end: number, value: number): void => {
  let rest = value;
  for (let i = end - 1; i >= start; i--) {
    text[i] = digitCodes[rest % 32] as number;
    rest = Math.floor(rest / 32);
  }
};

/**
 * Makes execution ids for one gateway thread: 28 characters that sort by time, name the thread, and hold 70 random bits.
 *
 * | characters | hold |
 * |---|---|
 * | 0–8 | milliseconds since 1970 |
 * | 9–11 | sequence within the millisecond |
 * | 12–13 | gateway thread |
 * | 14–27 | random |
 */
export class ExecutionIds {
  /** The id in the making, of a buffer that native code reads at once. */
  readonly #text = Buffer.allocUnsafeSlow(at.end);
  readonly #random = Buffer.allocUnsafeSlow(randomBytes);
  #used = randomBytes;
  #timeMs = 0;
  #sequence = 0;

  /** @param gateway number of the thread, 0 to `gatewayMax` */
  constructor(gateway: number) {
    encode(this.#text, 0, at.sequence, 0);
    encode(this.#text, at.gateway, at.random, gateway);
  }

  /** @param nowMs milliseconds since 1970; an id is never below an earlier one, even if the clock goes back */
  next(nowMs: number): string {
    if (nowMs > this.#timeMs) this.#advance(Math.floor(nowMs));
    else if (this.#sequence >= sequenceMax) this.#advance(this.#timeMs + 1);
    const text = this.#text;
    encode(text, at.sequence, at.gateway, this.#sequence++);
    this.#drawRandom(text);
    return latin1Slice.call(text, 0, at.end);
  }

  #advance(timeMs: number): void {
    if (timeMs === this.#timeMs) return;
    this.#timeMs = timeMs;
    encode(this.#text, 0, at.sequence, timeMs);
    this.#sequence = 0;
  }

  #drawRandom(text: Uint8Array): void {
    const random = this.#random;
    if (this.#used === randomBytes) {
      randomFillSync(random);
      for (let i = 0; i < randomBytes; i++) random[i] = digitCodes[(random[i] as number) & 31] as number;
      this.#used = 0;
    }
    for (let i = at.random; i < at.end; i++) text[i] = random[this.#used++] as number;
  }
}

/** The number of the gateway thread that made an id; undefined if the text is not an id. */
export const gatewayOf = (id: string): number | undefined =>
  idPattern.test(id) ? digits.indexOf(id.charAt(12)) * 32 + digits.indexOf(id.charAt(13)) : undefined;
