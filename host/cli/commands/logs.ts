import { serverEvents } from '../../base/server-events.ts';
import type { ControlClient } from '../client.ts';
import { checked } from '../client.ts';
import { type Command, type Context, UsageError } from '../command.ts';
import { print, type Terminal } from '../terminal.ts';

type Line = { at: string; execution: string; stream: string; level?: string | undefined; text: string };

const lineText = ({ at, execution, stream, level, text }: Line): string => `${at} ${execution} ${level ?? stream} ${text}`;

const printLine = ({ json, out }: Terminal, line: Line): void => out(`${json ? JSON.stringify(line) : lineText(line)}\n`);

async function follow({ terminal, signal }: Context, { send }: ControlClient, url: URL): Promise<void> {
  try {
    const { body } = await checked(await send(url, { headers: { accept: 'text/event-stream' } }));
    for await (const { event, data } of serverEvents(body ?? [])) {
      if (event === 'line') printLine(terminal, JSON.parse(data));
      if (event === 'dropped') terminal.error(`${JSON.parse(data).lines} lines missed: read faster\n`);
    }
  } catch (error) {
    // To be interrupted is how a command that follows ends.
    if (!signal.aborted) throw error;
  }
}

/** Prints a function's log; with --json and -f one object a line. */
export const logs: Command = {
  name: 'logs',
  summary: 'Print the log of a function.',
  parameters: ['FN'],
  options: {
    follow: { type: 'boolean', short: 'f', description: 'Keep printing new lines.' },
    limit: { type: 'string', value: 'N', description: 'How many of the latest lines. Default: 100.' },
  },
  run: async (context) => {
    const { parameters, options, terminal, connect } = context;
    const [name = ''] = parameters;
    const limit = options.text('limit') ?? '100';
    if (!/^\d{1,5}$/.test(limit)) throw new UsageError(`--limit must be a whole number, got "${limit}"`);
    const client = connect();
    const query = { ...client.tenant, limit, follow: options.flag('follow') ? ('true' as const) : ('false' as const) };
    const url = client.api.v1.functions[':name'].logs.$url({ param: { name }, query });
    if (options.flag('follow')) return follow(context, client, url);
    const { items } = (await (await checked(await client.send(url, {}))).json()) as { items: Line[] };
    print(terminal, { items }, () => items.map(lineText).join('\n'));
  },
};
