/** Attempts at an execution, as the command line tells them. */
type Judged = { verdict: string; by: string; reason: string; execution?: string | undefined; notes?: readonly string[] | undefined };
type Change = {
  version?: number | undefined;
  limits?: { memoryMib?: number | undefined; cpuMs?: number | undefined; timeMs?: number | undefined } | undefined;
};
type Attempt = {
  attempt: number;
  version?: number | undefined;
  startedAt: string | number;
  code: string | null;
  message?: string | undefined;
  log?: readonly string[] | undefined;
  change?: Change | undefined;
  judged?: Judged | undefined;
};

const changeOf = ({ version, limits = {} }: Change): string =>
  [
    ...(version === undefined ? [] : [`version ${version}`]),
    ...Object.entries(limits).flatMap(([key, value]) => (value === undefined ? [] : [`${key} ${value}`])),
  ].join(', ');

const verdictLines = ({ verdict, by, reason, execution, notes = [] }: Judged): string[] => [
  `verdict ${verdict}, by ${by}${execution === undefined ? '' : ` (${execution})`}: ${reason}`,
  ...notes.map((note) => `  ${note}`),
];

/** What became of one, with its last log lines and the verdict on it. */
export const attemptText = ({ attempt, version, startedAt, code, message, log = [], change, judged }: Attempt): string => {
  const at = typeof startedAt === 'number' ? new Date(startedAt).toISOString() : startedAt;
  const by = version === undefined ? '' : `, version ${version}`;
  return [
    `attempt ${attempt}${by}, ${at}: ${code ?? 'ok'} ${message ?? ''}`.trimEnd(),
    ...(change ? [`run with ${changeOf(change)}`] : []),
    ...log,
    ...(judged ? verdictLines(judged) : []),
  ].join('\n  ');
};

type PutOff = { code: string; message: string; times: number; since: string | number };

/** Why something was not run when it was its turn. */
export const putOffText = ({ code, message, times, since }: PutOff): string =>
  `${times === 1 ? 'once' : `${times} times`} since ${new Date(since).toISOString()}, ${code}: ${message}`;
