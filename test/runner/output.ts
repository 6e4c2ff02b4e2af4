/** What a test file's run amounts to. `problem` says why the file as a whole failed; `notes` are its lines `SKIPPED: …`. */
export type FileResult = { file: string; passed: number; failed: number; skipped: number; notes: string[]; problem?: string; output: string; seconds: number };

/** How the process of a test file ended. */
export type Ending = { code: number | null; signal: string | null; timedOut: boolean };

const totalOf = (output: string, name: string): number => Number([...output.matchAll(new RegExp(`^  ${name}: +(\\d+)$`, 'gm'))].at(-1)?.[1] ?? 0);

function problemOf(ending: Ending, timeoutMs: number, total: number, notes: number): string | undefined {
  if (ending.timedOut) return `did not end within ${timeoutMs / 1000} s`;
  if (ending.signal) return `was ended by ${ending.signal}`;
  if (total === 0 && notes === 0) return 'ran no test';
  return undefined;
}

/**
 * Reads uvu's summary. A test that cannot run here prints one line `SKIPPED: why` and returns: uvu counts it as passed, we as
 * skipped. A file that crashed, hung or ran nothing counts as one failure more.
 */
export function readResult(file: string, output: string, ending: Ending, seconds: number, timeoutMs: number): FileResult {
  const [total, done, skips] = ['Total', 'Passed', 'Skipped'].map((name) => totalOf(output, name)) as [number, number, number];
  const notes = output.match(/SKIPPED: .*$/gm) ?? [];
  let problem = problemOf(ending, timeoutMs, total, notes.length);
  if (!problem && ending.code !== 0 && total === done) problem = `exited with code ${ending.code} though no test failed`;
  const failed = total - done + (problem ? 1 : 0);
  const result = { file, passed: Math.max(0, done - notes.length), failed, skipped: skips + notes.length, notes, output, seconds };
  return problem ? { ...result, problem } : result;
}
