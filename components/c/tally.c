// As counter, but over the first draft of wasi:keyvalue, whose numbers have no sign; answers with the sum and, behind it, the
// number of keys, counted page by page.
#define ARENA_BYTES (1 << 20)
#include "guest.h"

#define STORE "wasi:keyvalue/store@0.2.0-draft"
#define ATOMICS "wasi:keyvalue/atomics@0.2.0-draft"

IMPORT(STORE, "open") void store_open(const char *name, size_t length, void *ret);
IMPORT(STORE, "[method]bucket.list-keys") void bucket_list(handle self, int32_t some, uint64_t cursor, void *ret);
IMPORT(ATOMICS, "increment") void bucket_increment(handle bucket, const char *key, size_t length, uint64_t delta, void *ret);

static uint64_t count_keys(handle bucket) {
  uint64_t count = 0, cursor = 0;
  int more = 0;
  do {
    size_t used = arena_used;
    bucket_list(bucket, more, cursor, ret);
    if (ret[0]) __builtin_trap();
    count += word(12);
    more = ret[16];
    cursor = *(uint64_t *)(ret + 24);
    arena_used = used;
  } while (more);
  return count;
}

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  request_drop(request);
  store_open("", 0, ret);
  if (ret[0]) return answer(out, 403, TEXT("access-denied"));
  handle bucket = word(4);
  bucket_increment(bucket, path.at + 1, path.length - 1, 1, ret);
  if (ret[0]) return answer(out, 507, TEXT("refused"));
  uint64_t sum = *(uint64_t *)(ret + 8);
  static char line[44];
  size_t length = decimal(sum, line);
  line[length++] = ' ';
  length += decimal(count_keys(bucket), line + length);
  answer(out, 200, (text){line, length});
}
