/** Where a command reads from and writes to. */
export type Terminal = {
  /** Print JSON instead of text. */
  json: boolean;
  /** Standard error is a terminal: progress may be shown. */
  interactive: boolean;
  out(content: string | Uint8Array): void;
  error(text: string): void;
  /** Everything on standard input. */
  input(): Promise<Uint8Array>;
};

/** Prints the outcome of a command: `value` as JSON, or else what `text` makes of it. */
export function print<T>({ json, out }: Terminal, value: T, text: (value: T) => string): void {
  const shown = json ? JSON.stringify(value, null, 2) : text(value);
  if (shown !== '') out(`${shown}\n`);
}

/** Shows what a long command does; silent in a pipe. An empty text clears the line. */
export function progress({ interactive, json, error }: Terminal, text: string): void {
  if (interactive && !json) error(`\r\u001b[K${text}`);
}

/** Rows under a head, columns aligned; nothing but `none` if there are no rows. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], none: string): string {
  if (rows.length === 0) return none;
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] as number))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Names and values, one a line. */
export const fields = (pairs: readonly (readonly [name: string, value: string])[]): string => {
  const width = Math.max(...pairs.map(([name]) => name.length));
  return pairs.map(([name, value]) => `${name.padEnd(width)}  ${value}`.trimEnd()).join('\n');
};

/** The terminal of this process. */
export const processTerminal = (json: boolean): Terminal => ({
  json,
  interactive: process.stderr.isTTY === true,
  out: (content) => void process.stdout.write(content),
  error: (text) => void process.stderr.write(text),
  input: async () => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of process.stdin) chunks.push(chunk);
    return Buffer.concat(chunks);
  },
});
