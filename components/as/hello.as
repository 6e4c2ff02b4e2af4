// AssemblyScript: says hello and names the path, by the canonical ABI written out.
@external('wasi:http/types@0.2.3', '[constructor]fields')
declare function fieldsNew(): i32;
@external('wasi:http/types@0.2.3', '[constructor]outgoing-response')
declare function responseNew(fields: i32): i32;
@external('wasi:http/types@0.2.3', '[method]outgoing-response.body')
declare function responseBody(self: i32, ret: usize): void;
@external('wasi:http/types@0.2.3', '[method]outgoing-body.write')
declare function bodyWrite(self: i32, ret: usize): void;
@external('wasi:http/types@0.2.3', '[static]outgoing-body.finish')
declare function bodyFinish(body: i32, hasTrailers: i32, trailers: i32, ret: usize): void;
@external('wasi:http/types@0.2.3', '[static]response-outparam.set')
declare function outparamSet(out: i32, isErr: i32, response: i32, a: i32, b: i64, c: i32, d: i32, e: i32, f: i32): void;
@external('wasi:http/types@0.2.3', '[method]incoming-request.path-with-query')
declare function requestPath(self: i32, ret: usize): void;
@external('wasi:http/types@0.2.3', '[resource-drop]incoming-request')
declare function requestDrop(self: i32): void;
@external('wasi:io/streams@0.2.3', '[method]output-stream.blocking-write-and-flush')
declare function streamWrite(self: i32, bytes: usize, length: i32, ret: usize): void;
@external('wasi:io/streams@0.2.3', '[resource-drop]output-stream')
declare function streamDrop(self: i32): void;

const ret: usize = memory.data(128, 8);
const arena: usize = memory.data(65536, 16);
let used: usize = 0;

export function cabi_realloc(old: usize, oldSize: usize, align: usize, size: usize): usize {
  used = (used + align - 1) & ~(align - 1);
  if (size > 65536 - used) unreachable();
  const start = arena + used;
  used += size;
  return start;
}

function write(stream: i32, text: string): void {
  const length = String.UTF8.byteLength(text);
  const bytes = cabi_realloc(0, 0, 1, length);
  String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, bytes);
  streamWrite(stream, bytes, length, ret);
}

export function handle(request: i32, out: i32): void {
  used = 0;
  requestPath(request, ret);
  const path = load<usize>(ret, 4);
  const pathLength = load<i32>(ret, 8);
  const response = responseNew(fieldsNew());
  responseBody(response, ret);
  const body = load<i32>(ret, 4);
  bodyWrite(body, ret);
  const stream = load<i32>(ret, 4);
  outparamSet(out, 0, response, 0, 0, 0, 0, 0, 0);
  write(stream, 'Hello from AssemblyScript at ');
  streamWrite(stream, path, pathLength, ret);
  write(stream, '\n');
  streamDrop(stream);
  bodyFinish(body, 0, 0, ret);
  requestDrop(request);
}
