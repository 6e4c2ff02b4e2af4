// Adds 1, or what the query says as `by=`, to the number under the key that the path names, in the bucket "", and answers
// with the sum.
#include "guest.h"

#define STORE "wasi:keyvalue/store@0.2.0-draft2"
#define ATOMICS "wasi:keyvalue/atomics@0.2.0-draft2"

IMPORT(STORE, "open") void store_open(const char *name, size_t length, void *ret);
IMPORT(STORE, "[resource-drop]bucket") void bucket_drop(handle self);
IMPORT(ATOMICS, "increment") void bucket_increment(handle bucket, const char *key, size_t length, int64_t delta, void *ret);

static text error_at(size_t offset) { return ret[offset] == 1 ? TEXT("access-denied\n") : ret[offset] == 0 ? TEXT("no-such-store\n") : text_at(offset + 4); }

static text key_in(text path) {
  size_t end = 1;
  while (end < path.length && path.at[end] != '?') end++;
  return end > 1 ? (text){path.at + 1, end - 1} : TEXT("hits");
}

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  request_drop(request);
  text key = key_in(path);
  int64_t by = query_number(path, TEXT("by"), 1);
  store_open("", 0, ret);
  if (ret[0]) return answer(out, 403, error_at(4));
  handle bucket = word(4);
  bucket_increment(bucket, key.at, key.length, by, ret);
  bucket_drop(bucket);
  if (ret[0]) return answer(out, 507, error_at(8));
  static char digits[24];
  size_t length = decimal(*(uint64_t *)(ret + 8), digits);
  digits[length++] = '\n';
  answer(out, 200, (text){digits, length});
}
