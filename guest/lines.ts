// Where lines of the bundle come from, so that what is logged names places in the sources.
import runs from 'function:lines';

/** From line `start` of the bundle on, each line is the one `offset` further in `file`; undefined: none of the function's own. */
type Run = [start: number, file: string | null, offset: number];

function runAt(line: number): Run | undefined {
  return (runs as Run[]).findLast(([start]) => start <= line);
}

/** The place in the sources of a place in the bundle; undefined for the runtime. */
function placeOf(line: number): string | undefined {
  const [, file, offset = 0] = runAt(line) ?? [];
  return typeof file === 'string' ? `${file}:${line + offset}` : undefined;
}

const PLACE = /\/function\.js:(\d+):\d+/g;

/** Whether a line of a stack trace is of the runtime, not of the function. */
function isRuntime(line: string): boolean {
  if (!/^ +at /.test(line)) return false;
  const [place] = line.matchAll(PLACE);
  return place === undefined ? line.endsWith('(native)') : placeOf(Number(place[1])) === undefined;
}

/** `text` with places of the bundle replaced by those of the sources; lines of stack traces that are the runtime's are left out. */
export function placed(text: string): string {
  if (!text.includes('    at ')) return text;
  const lines = text.split('\n').filter((line) => !isRuntime(line));
  return lines.join('\n').replace(PLACE, (found, line: string) => placeOf(Number(line)) ?? found);
}
