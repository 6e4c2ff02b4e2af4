import { type ErrorCode, Problem } from '../base/errors.ts';
import type { Context } from './command.ts';
import { print, progress, table } from './terminal.ts';

/** What came of a call for one of several. */
export type Outcome<T> = { id: string; value: T } | { id: string; problem: Problem };

/** What one call meets, the next would meet too. */
const lasting: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['unavailable', 'unauthorized', 'forbidden', 'tenant-suspended']);

/** `stopped`: why not all were called. */
export type InTurn<T> = { outcomes: Outcome<T>[]; stopped: unknown };

/**
 * Calls one after the other, and goes on after a problem with one of them. Never rejects, so that what was done can be said.
 * @param pause is awaited between two calls
 */
export async function inTurn<T>(
  { terminal, signal }: Pick<Context, 'terminal' | 'signal'>,
  ids: readonly string[],
  call: (id: string) => Promise<T>,
  pause: () => Promise<unknown> = async () => undefined,
): Promise<InTurn<T>> {
  const outcomes: Outcome<T>[] = [];
  try {
    for (const [index, id] of ids.entries()) {
      if (index > 0) await pause();
      signal.throwIfAborted();
      progress(terminal, `${index + 1} of ${ids.length}`);
      const outcome = await call(id).then(
        (value): Outcome<T> => ({ id, value }),
        (problem: unknown): Outcome<T> => {
          if (problem instanceof Problem && !lasting.has(problem.code)) return { id, problem };
          throw problem;
        },
      );
      outcomes.push(outcome);
    }
  } catch (error) {
    return { outcomes, stopped: error };
  } finally {
    progress(terminal, '');
  }
  return { outcomes, stopped: undefined };
}

export const problemsIn = <T>({ outcomes }: InTurn<T>): { id: string; problem: Problem }[] => outcomes.filter((outcome) => 'problem' in outcome);
export const valuesIn = <T>({ outcomes }: InTurn<T>): { id: string; value: T }[] => outcomes.filter((outcome) => 'value' in outcome);

/** Ends a command that was stopped, or some of whose calls did not succeed. */
export const endAs = ({ outcomes, stopped }: InTurn<unknown>, problem: Problem | undefined): void => {
  if (stopped instanceof Problem && outcomes.length > 0) throw new Problem(stopped.code, `it was stopped after ${outcomes.length}: ${stopped.message}`);
  if (stopped !== undefined) throw stopped;
  if (problem) throw problem;
};

export const told = ({ code, message }: Problem) => ({ code, detail: message });

/** Removes several, and says which. What is there no more is no failure, unless it was named `alone`. */
export async function removeInTurn(
  context: Pick<Context, 'terminal' | 'signal'>,
  ids: readonly string[],
  { alone, did }: { alone: boolean; did: 'dropped' | 'removed' },
  remove: (id: string) => Promise<unknown>,
): Promise<void> {
  const ran = await inTurn(context, ids, remove);
  const [single] = problemsIn(ran);
  if (alone && single) throw single.problem;
  const kept = problemsIn(ran).filter(({ problem }) => problem.code !== 'not-found');
  const gone = valuesIn(ran).map(({ id }) => id);
  const value = { [did]: gone, kept: kept.map(({ id, problem }) => ({ id, ...told(problem) })) };
  const rows = kept.map(({ id, problem }) => [id, problem.code, problem.message]);
  if (ran.outcomes.length > 0 || ran.stopped === undefined)
    print(context.terminal, value, () => [`${did} ${gone.length}`, ...(rows.length > 0 ? [table(['kept', 'code', 'why'], rows, '')] : [])].join('\n'));
  endAs(ran, kept[0] && new Problem(kept[0].problem.code, `${kept.length} of ${ids.length} could not be ${did}`));
}
