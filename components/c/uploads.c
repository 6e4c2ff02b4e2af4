// Puts the body of a POST into the container `copies` as `one`, reads it back, traps at the first attempt if it begins with
// `trap`, and answers with what it read; removes it where the body is `remove`. A GET answers with `one`.
#define ARENA_BYTES (1 << 20)
#include "blob.h"

static void refuse(handle out, int at) { answer(out, 400, text_at(at)); }

static int is_first(handle request) {
  fields_get(request_headers(request), "nacelle-attempt", 15, ret);
  const text *values = *(text **)ret;
  return word(4) == 0 || (values[0].length == 1 && values[0].at[0] == '1');
}

static void get(handle out, handle container) {
  container_get(container, "one", 3, 0, INT64_MAX, ret);
  if (ret[0]) return refuse(out, 4);
  incoming_value_whole(word(4), ret);
  if (ret[0]) return refuse(out, 4);
  answer(out, 200, text_at(4));
}

static void put_one(handle container, text body) {
  handle value = outgoing_value_new();
  container_write(container, "one", 3, value, ret);
  outgoing_value_body(value, ret);
  handle to = word(4);
  output_blocking_write(to, body.at, body.length, ret);
  output_drop(to);
  outgoing_value_finish(value, ret);
}

HANDLE(request, out) {
  arena_used = 0;
  int first = is_first(request);
  blobstore_get("copies", 6, ret);
  if (ret[0]) return answer(out, 403, text_at(4));
  handle container = word(4);
  request_method(request, ret);
  if (ret[0] == 0) return get(out, container);
  request_consume(request, ret);
  incoming_body_stream(word(4), ret);
  input_blocking_read(word(4), 4096, ret);
  if (ret[0]) return answer(out, 400, TEXT("no body"));
  text body = text_at(4);
  if (starts_with(body, TEXT("remove"))) container_delete(container, "one", 3, ret);
  else put_one(container, body);
  if (ret[0]) return refuse(out, 4);
  if (first && starts_with(body, TEXT("trap"))) __builtin_trap();
  get(out, container);
}
