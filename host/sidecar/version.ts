/** `1.2.3` as numbers; undefined if it is no such version. A pre-release is only compatible with itself. */
const parts = (version: string): [number, number, number] | undefined => {
  const found = /^(\d{1,9})\.(\d{1,9})\.(\d{1,9})$/.exec(version);
  return found ? [Number(found[1]), Number(found[2]), Number(found[3])] : undefined;
};

/** Whether an interface of version `offered` serves a component that was built for `wanted`: the first number that is not 0 must be the same. */
export function compatible(wanted: string, offered: string): boolean {
  if (wanted === offered) return true;
  const [one, other] = [parts(wanted), parts(offered)];
  if (!one || !other || one[0] !== other[0]) return false;
  return one[0] > 0 || (one[1] === other[1] && (one[1] > 0 || one[2] === other[2]));
}

export const isVersion = (text: string): boolean => parts(text) !== undefined;

/** Orders versions, the newest last. */
export function compareVersions(left: string, right: string): number {
  const none: [number, number, number] = [0, 0, 0];
  const [one, other] = [parts(left) ?? none, parts(right) ?? none];
  return one[0] - other[0] || one[1] - other[1] || one[2] - other[2];
}

/** The newest of `versions` that `1`, `1.2` or `1.2.3` stands for; without a range the newest of all. */
export function newest(versions: readonly string[], range: string | undefined): string | undefined {
  const fit = versions.filter((version) => range === undefined || version === range || version.startsWith(`${range}.`));
  return fit.sort(compareVersions).at(-1);
}
