// Adds 1, or what the query says as `by=`, to the number under the key that the path names, in the bucket "", and answers
// with the sum. With `gets=N` it reads the key N times instead, and answers with how often it was there.
#include "guest.h"

#define STORE "wasi:keyvalue/store@0.2.0-draft2"
#define ATOMICS "wasi:keyvalue/atomics@0.2.0-draft2"

IMPORT(STORE, "open") void store_open(const char *name, size_t length, void *ret);
IMPORT(STORE, "[resource-drop]bucket") void bucket_drop(handle self);
IMPORT(ATOMICS, "increment") void bucket_increment(handle bucket, const char *key, size_t length, int64_t delta, void *ret);

IMPORT(STORE, "[method]bucket.get") void bucket_get(handle self, const char *key, size_t length, void *ret);

static text error_at(size_t offset) { return ret[offset] == 1 ? TEXT("access-denied\n") : ret[offset] == 0 ? TEXT("no-such-store\n") : text_at(offset + 4); }

static text key_in(text path) {
  size_t end = 1;
  while (end < path.length && path.at[end] != '?') end++;
  return end > 1 ? (text){path.at + 1, end - 1} : TEXT("hits");
}

static void answer_number(handle out, uint64_t number) {
  static char digits[24];
  size_t length = decimal(number, digits);
  digits[length++] = '\n';
  answer(out, 200, (text){digits, length});
}

static void read_often(handle out, handle bucket, text key, int64_t times) {
  uint64_t found = 0;
  size_t used = arena_used;
  while (times-- > 0) {
    arena_used = used;
    bucket_get(bucket, key.at, key.length, ret);
    found += !ret[0] && ret[4];
  }
  bucket_drop(bucket);
  answer_number(out, found);
}

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  request_drop(request);
  text key = key_in(path);
  int64_t by = query_number(path, TEXT("by"), 1), gets = query_number(path, TEXT("gets"), -1);
  store_open("", 0, ret);
  if (ret[0]) return answer(out, 403, error_at(4));
  handle bucket = word(4);
  if (gets >= 0) return read_often(out, bucket, key, gets);
  bucket_increment(bucket, key.at, key.length, by, ret);
  bucket_drop(bucket);
  if (ret[0]) return answer(out, 507, error_at(8));
  answer_number(out, *(uint64_t *)(ret + 8));
}
