// Request recorder: a middleware for debugging that writes method, path and headers of each request to the log, and passes
// the request on. Values of `authorization` and `cookie` are left out.
#include "../components/c/sidecar.h"

typedef struct {
  text name;
  text value;
} header;

static char line[4096];
static size_t used;

static void add(text part) {
  for (size_t i = 0; i < part.length && used < sizeof line; i++) line[used++] = part.at[i] < ' ' ? '?' : part.at[i];
}

static void log_line(void) {
  logging_log(2, "", 0, line, used);
  used = 0;
}

static text method_of(handle request) {
  static const text names[] = {{"GET", 3}, {"HEAD", 4}, {"POST", 4}, {"PUT", 3}, {"DELETE", 6}, {"CONNECT", 7}, {"OPTIONS", 7}, {"TRACE", 5}, {"PATCH", 5}};
  request_method(request, ret);
  return ret[0] < 9 ? names[ret[0]] : text_at(4);
}

HANDLE(request, out) {
  arena_used = used = 0;
  add(method_of(request));
  add(TEXT(" "));
  add(path_of(request));
  log_line();
  handle headers = request_headers(request);
  fields_entries(headers, ret);
  const header *entries = *(header **)ret;
  size_t count = word(4);
  for (size_t i = 0; i < count; i++) {
    int secret = same(entries[i].name, TEXT("authorization")) || same(entries[i].name, TEXT("cookie"));
    add(entries[i].name);
    add(TEXT(": "));
    add(secret ? TEXT("(left out)") : entries[i].value);
    log_line();
  }
  fields_drop(headers);
  next_handle(request, out);
}
