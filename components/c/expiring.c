// Values with a time to live: `/KEY?ttl=MS` sets one, `/KEY` answers with `there` and whether it will go, or 404.
#include "guest.h"

#define STORE "wasi:keyvalue/store@0.2.0-draft2"
#define EXPIRY "nacelle:state/expiry@0.1.0"

IMPORT(STORE, "open") void store_open(const char *name, size_t length, void *ret);
IMPORT(STORE, "[method]bucket.exists") void bucket_exists(handle self, const char *key, size_t length, void *ret);
IMPORT(STORE, "[resource-drop]bucket") void bucket_drop(handle self);
IMPORT(EXPIRY, "set") void expiry_set(handle bucket, const char *key, size_t length, const void *value, size_t value_length, uint64_t ttl, void *ret);
IMPORT(EXPIRY, "remaining") void expiry_remaining(handle bucket, const char *key, size_t length, void *ret);

static text key_in(text path) {
  size_t end = 1;
  while (end < path.length && path.at[end] != '?') end++;
  return (text){path.at + 1, end - 1};
}

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  request_drop(request);
  text key = key_in(path);
  int64_t ttl = query_number(path, TEXT("ttl"), -1);
  store_open("", 0, ret);
  if (ret[0]) return answer(out, 403, TEXT("no bucket\n"));
  handle bucket = word(4);
  if (ttl >= 0) {
    expiry_set(bucket, key.at, key.length, "value", 5, ttl, ret);
    if (ret[0]) return answer(out, 400, text_at(8));
    return answer(out, 200, TEXT("set\n"));
  }
  bucket_exists(bucket, key.at, key.length, ret);
  if (ret[0] || !ret[4]) return answer(out, 404, TEXT("gone\n"));
  expiry_remaining(bucket, key.at, key.length, ret);
  answer(out, 200, !ret[0] && ret[8] ? TEXT("there for a while\n") : TEXT("there\n"));
}
