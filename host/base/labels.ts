/** What an edge says of itself (`region`: `eu`), and what manifests ask of edges. */
export type Labels = Readonly<Record<string, string>>;
/** Every one of these labels must be there, with one of its values. */
export type WantedLabels = Readonly<Record<string, readonly string[]>>;

export const labelsMax = 16;
export const labelKeyPattern = /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/;
export const labelValuePattern = /^[A-Za-z0-9]([\w.:-]{0,61}[A-Za-z0-9])?$/;
export const labelError =
  'must be labels as in "region=eu": a key of 1 to 63 lower-case letters, digits and "._-", a value of 1 to 63 letters, digits and "._:-"';

/** Of `["region=eu"]`; undefined if one is no label, or a key comes twice. */
export function parseLabels(texts: readonly string[]): Labels | undefined {
  const labels = new Map<string, string>();
  for (const text of texts) {
    const at = text.indexOf('=');
    const [key, value] = [text.slice(0, Math.max(at, 0)), text.slice(at + 1)];
    if (!labelKeyPattern.test(key) || !labelValuePattern.test(value) || labels.has(key)) return undefined;
    labels.set(key, value);
  }
  return Object.fromEntries(labels);
}

/** To ask for nothing matches everything. */
export const matchesLabels = (labels: Labels, wanted: WantedLabels): boolean =>
  Object.entries(wanted).every(([key, values]) => Object.hasOwn(labels, key) && values.includes(labels[key] as string));
