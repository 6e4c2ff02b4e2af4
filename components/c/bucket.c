// A bucket over HTTP: `/BUCKET/KEY` takes GET, PUT and DELETE, and POST, which appends to the value by compare-and-swap;
// `/BUCKET/` lists the keys.
#define ARENA_BYTES (4 << 20)
#include "guest.h"

#define STORE "wasi:keyvalue/store@0.2.0-draft2"
#define ATOMICS "wasi:keyvalue/atomics@0.2.0-draft2"

IMPORT(STORE, "open") void store_open(const char *name, size_t length, void *ret);
IMPORT(STORE, "[method]bucket.get") void bucket_get(handle self, const char *key, size_t length, void *ret);
IMPORT(STORE, "[method]bucket.set") void bucket_set(handle self, const char *key, size_t length, const void *value, size_t value_length, void *ret);
IMPORT(STORE, "[method]bucket.delete") void bucket_delete(handle self, const char *key, size_t length, void *ret);
IMPORT(STORE, "[method]bucket.list-keys") void bucket_list(handle self, int32_t some, const char *cursor, size_t length, void *ret);
IMPORT(ATOMICS, "[static]cas.new") void cas_new(handle bucket, const char *key, size_t length, void *ret);
IMPORT(ATOMICS, "[method]cas.current") void cas_current(handle self, void *ret);
IMPORT(ATOMICS, "swap") void cas_swap(handle self, const void *value, size_t length, void *ret);
IMPORT(ATOMICS, "[resource-drop]cas") void cas_drop(handle self);

enum { GET = 0, POST = 2, PUT = 3, DELETE = 4 };

/** Answers with an error at `ret + offset`. */
static void refuse(handle out, size_t offset) {
  uint8_t kind = ret[offset];
  if (kind == 2) return answer(out, 400, text_at(offset + 4));
  answer(out, 403, kind ? TEXT("access-denied") : TEXT("no-such-store"));
}

/** Without a libc there is no memcpy to make of the loop. */
__attribute__((no_builtin("memcpy"))) static text read_body(handle request) {
  request_consume(request, ret);
  handle incoming = word(4);
  incoming_body_stream(incoming, ret);
  handle from = word(4);
  static char whole[1 << 20];
  text body = {whole, 0};
  for (;;) {
    size_t used = arena_used;
    input_blocking_read(from, 65536, ret);
    if (ret[0]) break;
    text chunk = text_at(4);
    for (size_t i = 0; i < chunk.length && body.length < sizeof whole; i++) whole[body.length++] = chunk.at[i];
    arena_used = used;
  }
  input_drop(from);
  return body;
}

static void list(handle out, handle bucket) {
  reply r = begin(out, 200, TEXT("text/plain"));
  text cursor = {0, 0};
  int more = 0;
  do {
    bucket_list(bucket, more, cursor.at, cursor.length, ret);
    if (ret[0]) break;
    const text *keys = *(text **)(ret + 4);
    size_t count = word(8);
    more = ret[12];
    cursor = text_at(16);
    for (size_t i = 0; i < count; i++) {
      put(r, keys[i]);
      put(r, TEXT("\n"));
    }
  } while (more);
  finish(r);
}

static void get(handle out, handle bucket, text key) {
  bucket_get(bucket, key.at, key.length, ret);
  if (ret[0]) return refuse(out, 4);
  if (!ret[4]) return answer(out, 404, TEXT("not there"));
  answer(out, 200, text_at(8));
}

/** Appends `more`, again if somebody else was faster. */
__attribute__((no_builtin("memcpy"))) static void append(handle out, handle bucket, text key, text more) {
  cas_new(bucket, key.at, key.length, ret);
  if (ret[0]) return refuse(out, 4);
  handle cas = word(4);
  for (;;) {
    static char value[1 << 19];
    size_t length = 0, used = arena_used;
    cas_current(cas, ret);
    if (ret[0]) return refuse(out, 4);
    text old = ret[4] ? text_at(8) : TEXT("");
    for (size_t i = 0; i < old.length && length < sizeof value; i++) value[length++] = old.at[i];
    for (size_t i = 0; i < more.length && length < sizeof value; i++) value[length++] = more.at[i];
    arena_used = used;
    cas_swap(cas, value, length, ret);
    if (!ret[0]) return answer(out, 204, TEXT(""));
    if (!ret[4]) return refuse(out, 8);
    cas = word(8);
  }
}

static void change(handle out, handle bucket, text key, int method, text body) {
  if (method == PUT) bucket_set(bucket, key.at, key.length, body.at, body.length, ret);
  else bucket_delete(bucket, key.at, key.length, ret);
  if (ret[0]) return refuse(out, 4);
  answer(out, 204, TEXT(""));
}

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  request_method(request, ret);
  int method = ret[0];
  size_t end = 1;
  while (end < path.length && path.at[end] != '/') end++;
  text key = end + 1 < path.length ? (text){path.at + end + 1, path.length - end - 1} : TEXT("");
  text body = method == PUT || method == POST ? read_body(request) : TEXT("");
  request_drop(request);
  store_open(path.at + 1, end - 1, ret);
  if (ret[0]) return refuse(out, 4);
  handle bucket = word(4);
  if (method == GET && !key.length) return list(out, bucket);
  if (method == GET) return get(out, bucket, key);
  if (method == POST) return append(out, bucket, key, body);
  change(out, bucket, key, method, body);
}
