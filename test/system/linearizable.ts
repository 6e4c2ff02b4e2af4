/** One operation of a recorded history: when it was asked for, when its answer was there (Infinity: never), and what it was. */
export type Recorded<Op> = { begun: number; ended: number; op: Op };

/** What an operation makes of a state; undefined if it cannot have been answered like that in this state. */
export type Step<State, Op> = (state: State, op: Op) => State | undefined;

/**
 * Looks for an order of the operations, each between its begin and its end, in which every answer is right (Wing and
 * Gong, with memory of what was tried, after Lowe). Operations on several keys are strictly serialisable by the same
 * test. One that never ended may have taken place or not.
 */
export const isLinearizable = <State, Op>(history: readonly Recorded<Op>[], start: State, step: Step<State, Op>): boolean => {
  const tried = new Set<string>();
  const done = new Set<number>();
  const search = (state: State): boolean => {
    const left = history.flatMap((recorded, index) => (done.has(index) ? [] : [{ ...recorded, index }]));
    if (left.every(({ ended }) => ended === Number.POSITIVE_INFINITY)) return true;
    const mark = `${left.map(({ index }) => index).join(',')} ${JSON.stringify(state)}`;
    if (tried.has(mark)) return false;
    tried.add(mark);
    const firstEnd = Math.min(...left.map(({ ended }) => ended));
    for (const { op, begun, index } of left) {
      if (begun > firstEnd) continue;
      const next = step(state, op);
      if (next === undefined) continue;
      done.add(index);
      if (search(next)) return true;
      done.delete(index);
    }
    return false;
  };
  return search(start);
};
