import { errorTable, Problem } from '../base/errors.ts';
import { UsageError } from './command.ts';
import type { Terminal } from './terminal.ts';

/** Exit codes of every command. */
export const EXIT = { done: 0, failed: 1, usage: 2 } as const;

type Told = { code: string; detail: string; remedy?: string; problems?: readonly string[] };

function told(error: unknown): Told {
  if (error instanceof Problem) {
    const { code, message: detail, problems } = error;
    return { code, detail, remedy: errorTable[code].remedy, ...(problems ? { problems } : {}) };
  }
  if (error instanceof UsageError) return { code: 'usage', detail: error.message };
  return { code: 'internal', detail: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

function textOf({ code, detail, remedy, problems = [] }: Told): string {
  const several = problems.length > 1 ? problems.map((problem) => `  - ${problem}`) : [];
  return [`error: ${code}: ${detail}`, ...several, ...(remedy ? [`remedy: ${remedy}`] : [])].join('\n');
}

/** Says on standard error why a command did not succeed. @returns the exit code */
export function reportError({ json, error: write }: Terminal, error: unknown): number {
  const problem = told(error);
  write(`${json ? JSON.stringify(problem) : textOf(problem)}\n`);
  return error instanceof UsageError ? EXIT.usage : EXIT.failed;
}
