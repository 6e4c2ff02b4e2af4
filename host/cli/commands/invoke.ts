import { problemOf } from '../../control/client.ts';
import { checked } from '../client.ts';
import { type Command, type Context, UsageError } from '../command.ts';
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

/** What asks for an answer without the result. */
function asyncHeaders({ options }: Context): string[] {
  const startBy = options.text('start-by');
  if (!options.flag('async')) {
    if (startBy !== undefined) throw new UsageError('--start-by is for --async only');
    return [];
  }
  return ['prefer: respond-async', ...(startBy === undefined ? [] : [`nacelle-start-by: ${startBy}`])];
}

async function show({ terminal, options }: Context, response: Response): Promise<void> {
  const { status, headers } = response;
  const execution = headers.get('nacelle-execution');
  if (options.flag('async') && status === 202 && execution !== null) {
    await response.arrayBuffer();
    terminal.out(terminal.json ? `${JSON.stringify({ status, execution, location: headers.get('location') }, null, 2)}\n` : `${execution}\n`);
    return;
  }
  if (terminal.json) {
    const bytes = new Uint8Array(await response.arrayBuffer());
    const shown = { status, execution, headers: [...headers], ...bodyText(bytes) };
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
    async: { type: 'boolean', description: 'Do not wait for the answer: print the execution, for `nacelle result`.' },
    'start-by': { type: 'string', value: 'TIME', description: 'With --async: it may wait for a quiet time of the node, until this moment (RFC 3339).' },
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
    const query = {
      ...tenant,
      path: options.text('path') ?? '/',
      method,
      header: [...options.list('header'), ...asyncHeaders(context)],
      ...(debug === undefined ? {} : { debug }),
    };
    const url = api.v1.functions[':name'].invoke.$url({ param: { name }, query });
    const init = body === undefined ? {} : { body: body as RequestInit['body'] & {} };
    await show(context, await guestResponse(await send(url, { method: 'POST', ...init })));
  },
};
