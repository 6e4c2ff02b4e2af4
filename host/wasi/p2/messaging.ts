import { Problem } from '../../base/errors.ts';
import { type Err, err } from '../../base/result.ts';
import type { HostInterface } from '../../component/host.ts';
import type { GuestRequest, WasiContext } from '../context.ts';
import { heldBytes } from './resource.ts';

type C = WasiContext;
type Pair = [key: string, value: string];
type MessagingError = { tag: 'timeout' } | { tag: 'connection' | 'permission-denied' | 'other'; val: string };
type MetadataError = { tag: 'not-supported' } | { tag: 'invalid'; val: string | undefined };

/** Largest payload of a message, in bytes. */
const dataBytesMax = 512 * 1024;
const pairsMax = 64;
const contentTypeMax = 256;
const namePattern = /^[a-z0-9]{1,64}$/;

/** The resource `client`: there is nothing to connect to. */
class Client {}

/** The resource `message`. */
export class Message {
  readonly topic: string | undefined;
  contentType: string | undefined = undefined;
  data: Uint8Array;
  metadata: Map<string, string> | undefined = undefined;

  constructor(data: Uint8Array, topic?: string) {
    this.data = data;
    this.topic = topic;
  }
}

const latin1 = (value: Uint8Array): string => Buffer.from(value).toString('latin1');

/** The message of a request: its body, and the attributes of the event that it delivers. */
export function makeMessage({ headers }: GuestRequest, body: Uint8Array): Message {
  const first = (wanted: string): string | undefined => headers.filter(([name]) => name === wanted).map(([, value]) => latin1(value))[0];
  const message = new Message(body, first('nacelle-topic'));
  message.contentType = first('content-type');
  const attributes = headers.filter(([name]) => name.startsWith('ce-'));
  if (attributes.length > 0) message.metadata = new Map(attributes.map(([name, value]) => [name.slice(3), decoded(latin1(value))]));
  return message;
}

const decoded = (value: string): string => {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
};

const invalid = (why: string): Err<MetadataError> => err({ tag: 'invalid', val: why });

function addMetadata(message: Message, key: string, value: string): undefined | Err<MetadataError> {
  message.metadata ??= new Map();
  if (!namePattern.test(key) || key === 'data' || key === 'specversion') return invalid(`"${key.slice(0, 40)}" is no name of an attribute: a-z and 0-9 only`);
  if (value === '' || value.length > 8192) return invalid(`${key} must have 1 to 8192 characters`);
  if (message.metadata.size >= pairsMax && !message.metadata.has(key)) return invalid(`at most ${pairsMax} attributes`);
  message.metadata.set(key, value);
  return undefined;
}

function setMetadata(message: Message, pairs: readonly Pair[]): undefined | Err<MetadataError> {
  const before = message.metadata;
  message.metadata = new Map();
  for (const [key, value] of pairs) {
    const problem = addMetadata(message, key, value);
    if (!problem) continue;
    message.metadata = before;
    return problem;
  }
  return undefined;
}

let sent = 0;

/** What of a message goes to the outbox; the node makes an event of it. */
const encoded = (topic: string, { contentType, data, metadata }: Message): Uint8Array =>
  Buffer.from(JSON.stringify({ topic, contentType: contentType ?? null, data: Buffer.from(data).toString('base64'), metadata: [...(metadata ?? [])] }));

/** Puts the message into the outbox of the tenant: at once, or with the other effects of the execution. */
async function send(context: C, _client: Client, topic: string, message: Message): Promise<undefined | Err<MessagingError>> {
  const { messaging } = context.grant;
  if (!messaging?.topics.includes(topic)) return err({ tag: 'permission-denied', val: `the topic "${topic.slice(0, 128)}" is not in capabilities.messaging` });
  if (message.data.length > dataBytesMax) return err({ tag: 'other', val: `a message has at most ${dataBytesMax} bytes, got ${message.data.length}` });
  const { keyvalue, id } = context.execution;
  if (!keyvalue) return err({ tag: 'connection', val: 'no store can be reached from here' });
  try {
    await keyvalue.open(messaging.outbox).change({ kind: 'put', entries: [[`${id}-${++sent}`, encoded(topic, message)]] });
    return undefined;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return err({ tag: error.code === 'unavailable' ? 'connection' : 'other', val: error.message });
  }
}

function nothing(): void {}

/** The host keeps data for the guest, as much as of bodies. */
const held = (context: C, bytes: number): void => heldBytes(context).take(bytes);
const given = (context: C, { data }: Message): void => heldBytes(context).give(data.length);

const types: HostInterface<C> = {
  name: 'wasi:messaging/types',
  functions: {
    '[static]client.connect': () => new Client(),
    '[method]client.disconnect': nothing,
    '[constructor]message': (context: C, data: Uint8Array) => {
      held(context, data.length);
      return new Message(data);
    },
    '[method]message.topic': (_: C, self: Message) => self.topic,
    '[method]message.content-type': (_: C, self: Message) => self.contentType,
    '[method]message.set-content-type': (_: C, self: Message, contentType: string) => {
      if (contentType.length > contentTypeMax) return err(undefined);
      self.contentType = contentType;
      return undefined;
    },
    '[method]message.data': (_: C, self: Message) => self.data,
    '[method]message.set-data': (context: C, self: Message, data: Uint8Array) => {
      held(context, data.length);
      given(context, self);
      self.data = data;
    },
    '[method]message.metadata': (_: C, self: Message) => self.metadata && [...self.metadata],
    '[method]message.add-metadata': (_: C, self: Message, key: string, value: string) => addMetadata(self, key, value),
    '[method]message.set-metadata': (_: C, self: Message, pairs: Pair[]) => setMetadata(self, pairs),
    '[method]message.remove-metadata': (_: C, self: Message, key: string) => {
      self.metadata?.delete(key);
    },
  },
  drop: { client: nothing, message: given },
};

const producer: HostInterface<C> = {
  name: 'wasi:messaging/producer',
  functions: {
    send: async (context: C, client: Client, topic: string, message: Message) => {
      const outcome = await send(context, client, topic, message);
      given(context, message);
      return outcome;
    },
  },
  suspending: ['send'],
};

export const messagingInterfaces: HostInterface<C>[] = [types, producer];
