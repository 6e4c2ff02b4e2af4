// A control function that answers what its configuration says: `verdict-N` for the Nth attempt of an execution, else `verdict`;
// `trap` and `spin` it does, and `status-500` it answers. Keeps the record that it was given under `record` in the bucket "",
// and counts under `asked` how often it was.
#define ARENA_BYTES (2 << 20)
#include "guest.h"

#define STORE "wasi:keyvalue/store@0.2.0-draft2"
#define ATOMICS "wasi:keyvalue/atomics@0.2.0-draft2"

IMPORT(STORE, "open") void store_open(const char *name, size_t length, void *ret);
IMPORT(STORE, "[method]bucket.set") void bucket_set(handle bucket, const char *key, size_t length, const char *value, size_t size, void *ret);
IMPORT(ATOMICS, "increment") void bucket_increment(handle bucket, const char *key, size_t length, int64_t delta, void *ret);

static char whole[1 << 20];

/** Without a libc there is no memcpy to make of the loop. */
__attribute__((no_builtin("memcpy"))) static text read_body(handle request) {
  request_consume(request, ret);
  incoming_body_stream(word(4), ret);
  handle from = word(4);
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

static void keep(text record) {
  store_open("", 0, ret);
  if (ret[0]) return;
  handle bucket = word(4);
  bucket_set(bucket, "record", 6, record.at, record.length, ret);
  bucket_increment(bucket, "asked", 5, 1, ret);
}

/** The digit after `"attempt":`, the first of the record. */
static char attempt_in(text record) {
  text name = TEXT("\"attempt\":");
  for (size_t i = 0; i + name.length < record.length; i++)
    if (starts_with((text){record.at + i, record.length - i}, name)) return record.at[i + name.length];
  return '0';
}

static int configured(const char *key, size_t length, text *value) {
  config_get(key, length, ret);
  if (ret[0] || !ret[4]) return 0;
  *value = text_at(8);
  return 1;
}

HANDLE(request, out) {
  arena_used = 0;
  text record = read_body(request), verdict = TEXT("{}");
  keep(record);
  char key[] = "verdict-0";
  key[8] = attempt_in(record);
  if (!configured(key, 9, &verdict)) configured("verdict", 7, &verdict);
  if (starts_with(verdict, TEXT("trap"))) __builtin_trap();
  if (starts_with(verdict, TEXT("spin"))) for (volatile int i = 0;; i++) {}
  if (starts_with(verdict, TEXT("status-500"))) return answer(out, 500, TEXT("no"));
  reply r = begin(out, 200, TEXT("application/json"));
  put(r, verdict);
  finish(r);
}
