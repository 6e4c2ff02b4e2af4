// Exports wasi:keyvalue/watcher beside its handler, which answers `watching`; it prints what it is told.
#include "guest.h"

#define WATCHER "wasi:keyvalue/watcher@0.2.0-draft2"
#define STORE "wasi:keyvalue/store@0.2.0-draft2"

IMPORT(STORE, "[resource-drop]bucket") void bucket_drop(handle self);
IMPORT("wasi:cli/stdout@" WASI_VERSION, "get-stdout") handle stdout_get(void);

static void tell(text what, text key) {
  handle out = stdout_get();
  output_blocking_write(out, what.at, what.length, ret);
  output_blocking_write(out, key.at, key.length, ret);
  output_blocking_write(out, "\n", 1, ret);
  output_drop(out);
}

EXPORT(WATCHER "#on-set") void on_set(handle bucket, const char *key, size_t length, const uint8_t *value, size_t value_length) {
  (void)value, (void)value_length;
  tell(TEXT("set "), (text){key, length});
  bucket_drop(bucket);
  arena_used = 0;
}

EXPORT(WATCHER "#on-delete") void on_delete(handle bucket, const char *key, size_t length) {
  tell(TEXT("deleted "), (text){key, length});
  bucket_drop(bucket);
  arena_used = 0;
}

HANDLE(request, out) {
  arena_used = 0;
  request_drop(request);
  answer(out, 200, TEXT("watching\n"));
}
