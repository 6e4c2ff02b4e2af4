/** Bytes from `start` up to and without `end`. */
export type ByteRange = { start: number; end: number };

/** More parts than this are answered with the whole. */
const partsMax = 64;
const specPattern = /^(\d{0,16})-(\d{0,16})$/;

/**
 * Reads a Range header (RFC 9110, section 14.1.2). `'whole'`: it is to be ignored, because it is no byte range, asks for too
 * many parts, or for no less than all. `'unsatisfiable'`: no part of it is within the bytes.
 */
export const parseRange = (header: string | null | undefined, bytes: number): ByteRange[] | 'whole' | 'unsatisfiable' => {
  const specs = /^bytes=(.*)$/i.exec(header?.trim() ?? '')?.[1]?.split(',');
  if (!specs || specs.length > partsMax) return 'whole';
  const ranges: ByteRange[] = [];
  let sound = 0;
  for (const spec of specs) {
    if (spec.trim() === '') continue;
    const found = specPattern.exec(spec.trim());
    const [first, last] = [found?.[1] ?? '', found?.[2] ?? ''];
    if (!found || (first === '' && last === '') || (first !== '' && last !== '' && Number(last) < Number(first))) return 'whole';
    sound++;
    const start = first === '' ? Math.max(0, bytes - Number(last)) : Number(first);
    const end = first === '' || last === '' ? bytes : Math.min(Number(last) + 1, bytes);
    if (start < end) ranges.push({ start, end });
  }
  if (sound === 0) return 'whole';
  if (ranges.length === 0) return 'unsatisfiable';
  const total = ranges.reduce((sum, { start, end }) => sum + end - start, 0);
  return ranges.length > 1 && total >= bytes ? 'whole' : ranges;
};
