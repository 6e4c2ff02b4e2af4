import { randomFillSync } from 'node:crypto';

/** Digits in the order of their character codes, so that ids sort as their numbers do; no letters that look like digits. */
const digits = '0123456789abcdefghjkmnpqrstvwxyz';
const pairs = Array.from({ length: 1024 }, (_, value) => digits.charAt(value >> 5) + digits.charAt(value & 31));
const triples = Array.from({ length: 32_768 }, (_, value) => digits.charAt(value >> 10) + pairs[value & 1023]);

const timeLength = 9;
const sequenceMax = triples.length;
/** Numbers of 15 bits, and one of 10, in the random part. */
const randomTriples = 4;
const idPattern = /^[0-9a-hjkmnp-tv-z]{28}$/;

/** Largest number of a gateway thread that an id can name. */
export const gatewayMax = 1023;

/** Fixed-width digits of a whole number up to 2^45. */
const encode = (value: number, length: number): string => {
  let text = '';
  for (let rest = value; text.length < length; rest = Math.floor(rest / 32)) text = digits.charAt(rest % 32) + text;
  return text;
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
  readonly #gateway: string;
  readonly #random = new Uint16Array(4096);
  #used = this.#random.length;
  #timeMs = 0;
  #timeText = '';
  #sequence = 0;

  /** @param gateway number of the thread, 0 to `gatewayMax` */
  constructor(gateway: number) {
    this.#gateway = pairs[gateway] as string;
  }

  /** @param nowMs milliseconds since 1970; an id is never below an earlier one, even if the clock goes back */
  next(nowMs: number): string {
    if (nowMs > this.#timeMs) this.#advance(Math.floor(nowMs));
    else if (this.#sequence >= sequenceMax) this.#advance(this.#timeMs + 1);
    const sequence = this.#sequence++;
    return this.#timeText + triples[sequence] + this.#gateway + this.#randomText();
  }

  #advance(timeMs: number): void {
    if (timeMs === this.#timeMs) return;
    this.#timeMs = timeMs;
    this.#timeText = encode(timeMs, timeLength);
    this.#sequence = 0;
  }

  #randomText(): string {
    if (this.#used + randomTriples + 1 > this.#random.length) {
      randomFillSync(this.#random);
      this.#used = 0;
    }
    let text = pairs[(this.#random[this.#used++] as number) & 1023] as string;
    for (let i = 0; i < randomTriples; i++) text += triples[(this.#random[this.#used++] as number) & 32_767];
    return text;
  }
}

/** The number of the gateway thread that made an id; undefined if the text is not an id. */
export const gatewayOf = (id: string): number | undefined =>
  idPattern.test(id) ? digits.indexOf(id.charAt(12)) * 32 + digits.indexOf(id.charAt(13)) : undefined;
