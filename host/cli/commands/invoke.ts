import { problemOf } from '../../control/client.ts';
import { checked } from '../client.ts';
import type { Command, Context } from '../command.ts';
import { dataOf } from '../data.ts';

/** A response of the guest itself; a refusal, and an execution that failed, are thrown. */
async function guestResponse(response: Response): Promise<Response> {
  const execution = response.headers.get('nacelle-execution');
  if (!execution) return checked(response);
  const body = response.clone();
  if (!response.headers.get('content-type')?.startsWith('application/problem+json')) return response;
  const problem = await problemOf(response);
  // A guest may speak of problems too: only those of the node have its codes.
  if (!problem || problem.code === 'internal') return body;
  problem.message += ` (execution ${execution})`;
  throw problem;
}

const bodyText = (bytes: Uint8Array): { body: string } | { bodyBase64: string } => {
  try {
    return { body: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch {
    return { bodyBase64: Buffer.from(bytes).toString('base64') };
  }
};

async function show({ terminal, options }: Context, response: Response): Promise<void> {
  const { status, headers } = response;
  if (terminal.json) {
    const bytes = new Uint8Array(await response.arrayBuffer());
    const shown = { status, execution: headers.get('nacelle-execution'), headers: [...headers], ...bodyText(bytes) };
    terminal.out(`${JSON.stringify(shown, null, 2)}\n`);
    return;
  }
  if (options.flag('include')) terminal.out([`HTTP ${status}`, ...[...headers].map(([name, value]) => `${name}: ${value}`), '', ''].join('\n'));
  for await (const chunk of response.body ?? []) terminal.out(chunk);
}

/** Calls a function through the control API, whatever its routes are. */
export const invoke: Command = {
  name: 'invoke',
  summary: 'Call a function and print what it answers.',
  parameters: ['FN'],
  options: {
    path: { type: 'string', value: 'P', description: 'Path with the query. Default: /.' },
    method: { type: 'string', value: 'M', description: 'Default: GET, or POST with --data.' },
    header: { type: 'string', multiple: true, value: "'K: V'", description: 'A header of the request.' },
    data: { type: 'string', value: 'TEXT|@FILE', description: 'The body of the request. (The data directory of a node is named by NACELLE_DATA here.)' },
    debug: { type: 'string', value: 'SIDECAR', description: 'A sidecar for debugging that takes part in this call: NAME or NAME@VERSION.' },
    include: { type: 'boolean', short: 'i', description: 'Print status and headers too.' },
  },
  run: async (context) => {
    const { parameters, options, connect } = context;
    const [name = ''] = parameters;
    const body = dataOf(context);
    const { api, tenant, send } = connect();
    const method = options.text('method') ?? (body === undefined ? 'GET' : 'POST');
    const debug = options.text('debug');
    const query = { ...tenant, path: options.text('path') ?? '/', method, header: [...options.list('header')], ...(debug === undefined ? {} : { debug }) };
    const url = api.v1.functions[':name'].invoke.$url({ param: { name }, query });
    const init = body === undefined ? {} : { body: body as RequestInit['body'] & {} };
    await show(context, await guestResponse(await send(url, { method: 'POST', ...init })));
  },
};
