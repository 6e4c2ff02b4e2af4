// wasi:http/incoming-handler over a function from Request to Response, the default export of `function:user`.
import './promise.ts';
import './console.ts';
import './clock.ts';
import * as module from 'function:user';
import { Fields, OutgoingBody, OutgoingResponse, ResponseOutparam } from 'wasi:http/types';
import { environment } from './env.ts';
import { headersOf, readBody, writeBody } from './exchange.ts';
import { Request, Response } from './http.ts';
import { stage } from './stage.ts';
import { encode } from './text.ts';
import { clearTimers, runUntil } from './timers.ts';

const user = module.default;
const serve = typeof user === 'function' ? user : user?.fetch?.bind(user);
if (typeof serve !== 'function')
  throw new TypeError('the default export must be a function from Request to Response, or an object with such a function as "fetch"');

function requestOf(incoming): Request {
  const method = incoming.method();
  const url = () => `http://${incoming.authority() ?? 'localhost'}${incoming.pathWithQuery() ?? '/'}`;
  return new Request({ url, headers: () => headersOf(incoming), read: () => readBody(incoming) }, { method: method.val ?? method.tag.toUpperCase() });
}

function send(out, response: Response): void {
  const fields = [...response.headers].map(([name, value]) => [name, encode(value)]);
  const outgoing = new OutgoingResponse(Fields.fromList(fields));
  if (response.status !== 200) outgoing.setStatusCode(response.status);
  const body = outgoing.body();
  ResponseOutparam.set(out, { tag: 'ok', val: outgoing });
  writeBody(body, response.take());
  OutgoingBody.finish(body, null);
}

function failed(error: unknown): Response {
  console.error(error);
  return new Response('Internal Server Error\n', { status: 500 });
}

const checked = (value: unknown): Response => (value instanceof Response ? value : failed(new TypeError('fetch must return a Response')));

/** What the function left to be done after its response. */
let after: PromiseLike<unknown>[] = [];
const context = { waitUntil: (promise: PromiseLike<unknown>) => void after.push(promise), passThroughOnException: () => undefined };

/** The response to a request; jobs and timers run until it is there. */
function respondTo(request: Request): Response {
  try {
    const returned = serve(request, environment(), context);
    if (returned instanceof Response) return returned;
    let response: Response | undefined;
    Promise.resolve(returned).then(
      (value: unknown) => {
        response = checked(value);
      },
      (error: unknown) => {
        response = failed(error);
      },
    );
    if (runUntil(() => response !== undefined)) return response;
    return failed(new Error('the response waits for what nothing will settle'));
  } catch (error) {
    return failed(error);
  }
}

function finish(): void {
  if (after.length > 0) {
    let open = after.length;
    const settled = () => void open--;
    for (const promise of after) Promise.resolve(promise).then(settled, (error: unknown) => settled(console.error(error)));
    runUntil(() => open === 0);
    after = [];
  }
  clearTimers();
}

export const incomingHandler = {
  handle(incoming, out) {
    stage.serving = true;
    send(out, respondTo(requestOf(incoming)));
    finish();
    incoming[Symbol.dispose]();
  },
};
