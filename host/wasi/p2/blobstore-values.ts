import { Problem } from '../../base/errors.ts';
import { type Err, err } from '../../base/result.ts';
import { type ByteSource, ByteStreamError } from '../../base/stream.ts';
import type { Blobstore, OutgoingObject } from '../blobstore-port.ts';
import type { WasiContext } from '../context.ts';
import { fixedOf } from '../deterministic.ts';
import { InputStream } from './input-stream.ts';
import { OutputStream } from './output-stream.ts';
import { assertChildless, type Parent } from './resource.ts';

/** What `incoming-value-consume-sync` brings into the guest at once. */
const syncBytesMax = 16 * 1024 * 1024;

/** Marks a context whose first use of objects has renewed the snapshot that reads go to. */
const openedKey = 'nacelle:objects';

/** Objects in this execution, which sees all that was committed before its first use of any. @throws Problem `unavailable` */
export function objectsIn({ execution, local, grant }: WasiContext): Blobstore {
  const objects = grant.deterministic ? execution.objects?.of(fixedOf(execution).sources) : execution.objects;
  if (!objects) throw new Problem('unavailable', 'cannot reach objects from here');
  if (!local.has(openedKey)) {
    objects.refresh();
    local.set(openedKey, true);
  }
  return objects;
}

/** The WIT error of a problem is its text; anything else is a defect and ends the guest. */
export function textOf(error: unknown): string {
  if (error instanceof Problem || error instanceof ByteStreamError) return error.message;
  throw error;
}

/** The resource `outgoing-value`. */
export class OutgoingValue implements Parent {
  children = 0;
  #object: OutgoingObject | undefined;
  #taken = false;
  #destination: { container: string; name: string } | undefined;

  body(context: WasiContext): OutputStream | Err<undefined> {
    if (this.#taken) return err(undefined);
    this.#taken = true;
    return new OutputStream(this.#open(context).sink, this);
  }

  writeTo(container: string, name: string): undefined | Err<string> {
    if (this.#destination) return err('the value was given to a container already');
    this.#destination = { container, name };
    return undefined;
  }

  async finish(context: WasiContext): Promise<undefined | Err<string>> {
    assertChildless(context, this, 'finish outgoing-value');
    const object = this.#open(context);
    this.#object = undefined;
    if (!this.#destination) {
      object.abort();
      return err('the value was not given to a container: call write-data before finish');
    }
    try {
      await object.commit(this.#destination.container, this.#destination.name);
      return undefined;
    } catch (error) {
      object.abort();
      return err(textOf(error));
    }
  }

  drop(context: WasiContext): void {
    assertChildless(context, this, 'drop outgoing-value');
    this.#object?.abort();
    this.#object = undefined;
  }

  #open(context: WasiContext): OutgoingObject {
    this.#object ??= objectsIn(context).write();
    return this.#object;
  }
}

/** The bytes of an object, which is there for as long as the stream is. */
class ObjectStream extends InputStream {
  readonly #source: ByteSource;

  constructor(source: ByteSource) {
    super(source, null);
    this.#source = source;
  }

  override drop(): void {
    super.drop();
    this.#source.cancel();
  }
}

/** The resource `incoming-value`: bytes that are read when the guest asks for them. */
export class IncomingValue {
  readonly bytes: number;
  #source: ByteSource | undefined;

  constructor(source: ByteSource, bytes: number) {
    this.#source = source;
    this.bytes = bytes;
  }

  stream(): InputStream {
    const source = this.#source as ByteSource;
    this.#source = undefined;
    return new ObjectStream(source);
  }

  async whole(): Promise<Uint8Array | Err<string>> {
    const source = this.#source as ByteSource;
    this.#source = undefined;
    if (this.bytes > syncBytesMax) {
      source.cancel();
      return err(`cannot read ${this.bytes} bytes at once: at most ${syncBytesMax}`);
    }
    const whole = new Uint8Array(this.bytes);
    let at = 0;
    try {
      for (let chunk = source.read(syncBytesMax); chunk !== null; chunk = source.read(syncBytesMax)) {
        whole.set(chunk, at);
        at += chunk.length;
        if (chunk.length === 0) await source.readable();
      }
      return whole;
    } catch (error) {
      return err(textOf(error));
    }
  }

  drop(): void {
    this.#source?.cancel();
    this.#source = undefined;
  }
}
