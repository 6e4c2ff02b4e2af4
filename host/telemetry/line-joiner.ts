import { cutAtCharacter, printable } from './text.ts';

const NEWLINE = 10;
const RETURN = 13;

/** A line longer than this is cut, in bytes. */
export const LINE_BYTES_MAX = 16 * 1024;

/**
 * Joins the pieces that a guest writes into whole lines. Holds at most one line of `lineBytesMax`; of a longer one the rest is
 * counted, and the line ends with `… (123 bytes more)`.
 */
export class LineJoiner {
  readonly #emit: (line: string) => void;
  readonly #lineBytesMax: number;
  #held = new Uint8Array(0);
  #heldBytes = 0;
  #lostBytes = 0;

  constructor(emit: (line: string) => void, lineBytesMax: number = LINE_BYTES_MAX) {
    this.#emit = emit;
    this.#lineBytesMax = lineBytesMax;
  }

  /** Does not keep `bytes`: the caller may change them afterwards. */
  write(bytes: Uint8Array): void {
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      const piece = bytes.subarray(start, end);
      if (this.#heldBytes > 0) this.#hold(piece);
      this.#endLine(this.#heldBytes > 0 ? this.#held.subarray(0, this.#heldBytes) : piece);
      start = end + 1;
    }
    if (start < bytes.length) this.#hold(bytes.subarray(start));
  }

  /** Gives out a last line that has no line end. */
  flush(): void {
    if (this.#heldBytes > 0) this.#endLine(this.#held.subarray(0, this.#heldBytes));
  }

  #hold(piece: Uint8Array): void {
    // One byte more than the limit: it tells whether the cut splits a character, or is the \r of a line just at the limit.
    const kept = piece.subarray(0, Math.max(0, this.#lineBytesMax + 1 - this.#heldBytes));
    const bytes = this.#heldBytes + kept.length;
    if (bytes > this.#held.length) {
      const larger = new Uint8Array(Math.min(Math.max(256, bytes * 2), this.#lineBytesMax + 1));
      larger.set(this.#held.subarray(0, this.#heldBytes));
      this.#held = larger;
    }
    this.#held.set(kept, this.#heldBytes);
    this.#heldBytes = bytes;
    this.#lostBytes += piece.length - kept.length;
  }

  #endLine(whole: Uint8Array): void {
    const line = this.#lostBytes === 0 && whole.at(-1) === RETURN ? whole.subarray(0, -1) : whole;
    const shown = cutAtCharacter(line, this.#lineBytesMax);
    const more = this.#lostBytes + line.length - shown.length;
    this.#heldBytes = 0;
    this.#lostBytes = 0;
    this.#emit(more > 0 ? `${printable(shown)}… (${more} bytes more)` : printable(shown));
  }
}
