import type { LogHub } from './log-hub.ts';

/** The last lines that an attempt at an execution logged, as far as the log still has them. */
export type LastLines = (tenant: string, name: string, execution: string, attempt: number) => Promise<string[]>;

const linesMax = 20;
const lineCharactersMax = 200;
/** Gateway threads hand logs over before they tell that an execution failed; if too many are on their way, soon after. */
const delayMs = 60;

export const lastLinesOf =
  (logs: Pick<LogHub, 'read'>): LastLines =>
  async (tenant, name, id, wanted) => {
    const read = () => logs.read(tenant, name).filter(({ execution, attempt = 1 }) => execution === id && attempt === wanted);
    let lines = read();
    if (lines.length === 0) {
      await new Promise<void>((resolve) => setTimeout(resolve, delayMs));
      lines = read();
    }
    return lines.slice(-linesMax).map(({ stream, text }) => `${stream} ${text}`.slice(0, lineCharactersMax));
  };
