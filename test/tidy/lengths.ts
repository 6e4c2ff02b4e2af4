import { type Node, type Program, Visitor } from 'oxc-parser';
import type { Source } from './sources.ts';

/** What the repository has reached, and may only go down: ratchet.json. */
export type Ratchet = { functionLinesMax: number; fileLinesMax: number; functionsOver40Lines: number };

type Measured = { place: string; lines: number };

const linesOf = (text: string): number => text.split('\n').filter((line) => line.trim() !== '').length;

function functionsIn({ path, text, program }: Source): Measured[] {
  const found: Measured[] = [];
  const measure = (node: Node): void => {
    const line = text.slice(0, node.start).split('\n').length;
    found.push({ place: `${path}:${line}`, lines: linesOf(text.slice(node.start, node.end)) });
  };
  new Visitor({ FunctionDeclaration: measure, FunctionExpression: measure, ArrowFunctionExpression: measure }).visit(program as Program);
  return found;
}

/** Blank lines are not counted. */
export function measure(sources: readonly Source[]): { functions: Measured[]; files: Measured[]; reached: Ratchet } {
  const functions = sources.flatMap(functionsIn);
  const files = sources.map(({ path, text }) => ({ place: path, lines: linesOf(text) }));
  const longest = (list: Measured[]): number => Math.max(0, ...list.map((item) => item.lines));
  const functionsOver40Lines = functions.filter((item) => item.lines > 40).length;
  return { functions, files, reached: { functionLinesMax: longest(functions), fileLinesMax: longest(files), functionsOver40Lines } };
}

/** Functions and files that are longer than `allowed`, one line each. */
export function lengthProblems(sources: readonly Source[], allowed: Ratchet): string[] {
  const { functions, files, reached } = measure(sources);
  const over = (list: Measured[], max: number, what: string): string[] =>
    list.filter((item) => item.lines > max).map((item) => `${item.place}: ${what} of ${item.lines} lines, at most ${max}`);
  const problems = [...over(functions, allowed.functionLinesMax, 'function'), ...over(files, allowed.fileLinesMax, 'file')];
  if (reached.functionsOver40Lines > allowed.functionsOver40Lines) {
    const places = functions.filter((item) => item.lines > 40).map((item) => `  ${item.place} (${item.lines})`);
    problems.push(`${reached.functionsOver40Lines} functions over 40 lines, at most ${allowed.functionsOver40Lines}:`, ...places);
  }
  return problems;
}

/** `allowed`, lowered to what has been reached. */
export const tighten = (allowed: Ratchet, reached: Ratchet): Ratchet => ({
  functionLinesMax: Math.min(allowed.functionLinesMax, reached.functionLinesMax),
  fileLinesMax: Math.min(allowed.fileLinesMax, reached.fileLinesMax),
  functionsOver40Lines: Math.min(allowed.functionsOver40Lines, reached.functionsOver40Lines),
});
