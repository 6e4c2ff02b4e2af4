/**
 * How a request reaches a component that does not serve HTTP, or an event one that has a handler for messages: the body
 * becomes a message or the standard input, and what the guest returns becomes a response.
 */
import { Problem } from '../base/errors.ts';
import { Err } from '../base/result.ts';
import type { ByteSource } from '../base/stream.ts';
import type { Plan } from '../component/plan.ts';
import type { ExecutionPorts, GuestRequest, ResponseSink } from '../wasi/context.ts';
import { makeMessage } from '../wasi/p2/messaging.ts';
import type { Call } from './instance.ts';
import type { Outcome } from './pool.ts';

/** The exported interfaces by which a component can be called. */
export type Entries = { http: string | undefined; messaging: string | undefined; command: string | undefined };

export type OtherEntry = 'messaging' | 'command';

/** Of standard output, which is the response of a command. */
const stdoutBytesMax = 512 * 1024;

const exported = (plan: Plan, prefix: string): string | undefined => plan.exports.find((one) => one.interface.startsWith(prefix))?.interface;

/** @throws Problem `module-invalid` if there is none */
export const entriesOf = (plan: Plan, name: string): Entries => {
  const http = exported(plan, 'wasi:http/incoming-handler@');
  const messaging = exported(plan, 'wasi:messaging/incoming-handler@');
  const command = exported(plan, 'wasi:cli/run@');
  if (!http && !messaging && !command) {
    throw new Problem(
      'module-invalid',
      `cannot run "${name}": its component does not export wasi:http/incoming-handler, wasi:messaging/incoming-handler or wasi:cli/run`,
    );
  }
  return { http, messaging, command };
};

/** Which of them takes a request, if it is not `http`: events go to the handler of messages if there is one. */
export const otherEntryFor = ({ http, messaging, command }: Entries, { headers }: GuestRequest): OtherEntry | undefined => {
  if (http && !messaging) return undefined;
  if (messaging && (!http || headers.some(([header]) => header === 'ce-specversion'))) return 'messaging';
  return http || !command ? undefined : 'command';
};

/** @throws ByteStreamError if the client breaks off */
export const readWhole = async (body: ByteSource | null): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = [];
  for (;;) {
    const chunk = body?.read(65_536) ?? null;
    if (chunk === null) return Buffer.concat(chunks);
    if (chunk.length === 0) await body?.readable();
    else chunks.push(Uint8Array.from(chunk));
  }
};

const respond = (sink: ResponseSink, status: number, body: Uint8Array): void => {
  const out = sink.respond(status, body.length > 0 ? [['content-type', Buffer.from('text/plain; charset=utf-8')]] : []);
  if (body.length > 0) out.write(body);
  out.finish();
};

/** One call of an entry: what it is called with, and what its end means. */
export type Entered = { ports: ExecutionPorts; call: Call; answer: (outcome: Outcome, sink: ResponseSink) => boolean };

type MessageError = { tag: string; val?: string };

export const enterMessaging = (name: string, request: GuestRequest, body: Uint8Array, ports: ExecutionPorts): Entered => ({
  ports,
  call: { interface: name, function: 'handle', parameters: [makeMessage(request, body)] },
  answer: ({ result, ended }, sink) => {
    if (ended) return false;
    const error = errorOf<MessageError>(result);
    if (error) respond(sink, 500, Buffer.from(`${error.tag}${error.val === undefined ? '' : `: ${error.val}`}`));
    else respond(sink, 204, new Uint8Array(0));
    return true;
  },
});

export const enterCommand = (name: string, body: Uint8Array, ports: ExecutionPorts): Entered => {
  const { id, log, outbound, keyvalue, objects, overlay, upload, attach, shared } = ports;
  const output: Uint8Array[] = [];
  let room = stdoutBytesMax;
  const write: ExecutionPorts['log']['write'] = (stream, bytes) => {
    log.write(stream, bytes);
    if (stream !== 'stdout' || room === 0) return;
    const kept = Uint8Array.from(bytes.subarray(0, room));
    room -= kept.length;
    output.push(kept);
  };
  return {
    ports: {
      id,
      log: { write, record: (level, context, message) => log.record(level, context, message) },
      outbound,
      keyvalue,
      objects,
      overlay,
      upload,
      shared,
      attach: attach && (() => attach.call(ports)),
      stdin: body,
    },
    call: { interface: name, function: 'run', parameters: [] },
    answer: ({ result, ended }, sink) => {
      if (ended && ended.exit !== 'ok') return false;
      respond(sink, errorOf(result) === undefined ? 200 : 500, Buffer.concat(output));
      return true;
    },
  };
};

/** What a guest's function returned in place of its result. */
const errorOf = <T = unknown>(result: unknown): T | undefined | null => {
  if (result instanceof Err) return (result.value as T) ?? null;
  return undefined;
};
