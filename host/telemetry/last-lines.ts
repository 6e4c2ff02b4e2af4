import type { LogHub } from './log-hub.ts';

/** The last lines that an execution logged since a moment, in milliseconds since 1970. */
export type LastLines = (tenant: string, name: string, execution: string, since: number) => Promise<string[]>;

const linesMax = 20;
const lineCharactersMax = 200;
/** Gateway threads hand logs over soon after they were written. */
const delayMs = 60;

export const lastLinesOf =
  (logs: Pick<LogHub, 'read'>): LastLines =>
  async (tenant, name, id, since) => {
    await new Promise<void>((resolve) => setTimeout(resolve, delayMs));
    const lines = logs.read(tenant, name).filter(({ execution, at }) => execution === id && at >= since);
    return lines.slice(-linesMax).map(({ stream, text }) => `${stream} ${text}`.slice(0, lineCharactersMax));
  };
