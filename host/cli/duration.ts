const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `10m` in milliseconds; undefined if the text is no duration. Units are ms, s, m, h and d. */
export const durationMs = (text: string): number | undefined => {
  const [, count, unit] = /^(\d{1,12})(ms|s|m|h|d)$/.exec(text) ?? [];
  return count && unit ? Number(count) * (unitMs[unit] as number) : undefined;
};
