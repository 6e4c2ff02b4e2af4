/** Characters that say how much was left out, at most. */
const MARK_MAX = 64;

/** A text of a guest's, cut where it is longer than `charactersMax` and says so. What was cut already stays as it is. */
export const shorten = (text: string, charactersMax: number): string =>
  text.length <= charactersMax + MARK_MAX ? text : `${text.slice(0, charactersMax)}… (${text.length - charactersMax} characters more)`;
