import { type Err, err } from '../../base/result.ts';
import type { ResponseSink, WasiContext } from '../context.ts';
import { contentLengthOf, type Fields } from './fields.ts';
import { type ErrorCode, errorCode, errorDetail } from './http-error-code.ts';
import type { OutgoingBody } from './outgoing-body.ts';
import type { OutgoingResponse } from './outgoing-message.ts';
import { assertChildless } from './resource.ts';

/**
 * What became of a response:
 * `unset`: the guest has not called `response-outparam.set`; `failed`: it answered with an error-code, or with a
 * response that cannot be sent; `open`: the head went out, the body is being written; `aborted`: the body was dropped
 * or does not fit its content-length; `finished`: head and body are whole.
 */
export type Settlement = 'unset' | 'failed' | 'open' | 'aborted' | 'finished';

type SetResult = { tag: 'ok'; val: OutgoingResponse } | { tag: 'err'; val: ErrorCode };

/** The resource `wasi:http/types.response-outparam`. */
export class ResponseOutparam {
  private readonly sink: ResponseSink;
  private readonly requestMethod: string;
  private settled: 'unset' | 'failed' | 'finished' | 'aborted' = 'unset';
  private body: OutgoingBody | null = null;

  constructor(sink: ResponseSink, requestMethod: string) {
    this.sink = sink;
    this.requestMethod = requestMethod;
  }

  get settlement(): Settlement {
    const { body } = this;
    return body === null ? this.settled : body.state;
  }

  set(context: WasiContext, result: SetResult): void {
    if (result.tag === 'err') {
      this.fail(result.val.tag, errorDetail(result.val));
      return;
    }
    const response = result.val;
    assertChildless(context, response, 'set a response');
    const length = contentLengthOf(response.headers);
    if (length !== null && response.status >= 200) this.send(response, length);
    else {
      response.content?.abort('the response cannot be sent');
      this.fail(
        'HTTP-protocol-error',
        length === null ? 'content-length is no number, or there are several' : `${response.status} is no status of a final response`,
      );
    }
  }

  informational(status: number, headers: Fields): undefined | Err<ErrorCode> {
    const list = headers.release();
    if (status < 100 || status > 199 || status === 101) return err(errorCode('HTTP-protocol-error', ''));
    if (this.sink.informational === undefined) return err(errorCode('internal-error', 'interim responses cannot be sent here'));
    this.sink.informational(status, list);
    return undefined;
  }

  private send(response: OutgoingResponse, length: number): void {
    const bodiless = this.requestMethod === 'HEAD' || response.status === 304;
    const sink = this.sink.respond(response.status, response.headers);
    const { content } = response;
    if (content !== null) {
      this.body = content;
      content.bodiless = bodiless;
      content.attach(sink);
    } else if (length > 0 && !bodiless) {
      this.settled = 'aborted';
      sink.abort(`the guest announced a body of ${length} bytes and gave none`);
    } else {
      this.settled = 'finished';
      sink.finish();
    }
  }

  private fail(code: string, detail: string | undefined): void {
    this.settled = 'failed';
    this.sink.fail(code, detail);
  }
}
