// Is called for uploads: tries its container in every way and prints a line with what came of it, `own=` with the bytes of its own
// object. A GET of `/CONTAINER` says whether that container is open.
#define ARENA_BYTES (1 << 20)
#include "blob.h"

static volatile char line[4096];
static size_t used;

static void say(text part) {
  for (size_t i = 0; i < part.length && used < sizeof line; i++) line[used++] = part.at[i];
}

/** What a call answered that returns nothing but an error. */
static void say_done(const char *what) {
  say((text){what, text_length(what)});
  if (ret[0]) say(text_at(4));
  else say(TEXT("done"));
}

static text header(handle request, const char *name) {
  fields_get(request_headers(request), name, text_length(name), ret);
  return word(4) == 0 ? TEXT("") : **(text **)ret;
}

static int digit(char c) { return c <= '9' ? c - '0' : (c | 32) - 'a' + 10; }

static text percent_decoded(text from) {
  static char to[1024];
  size_t length = 0;
  for (size_t i = 0; i < from.length && length < sizeof to; i++)
    if (from.at[i] == '%' && i + 2 < from.length) {
      to[length++] = digit(from.at[i + 1]) << 4 | digit(from.at[i + 2]);
      i += 2;
    } else to[length++] = from.at[i];
  return (text){to, length};
}

static void say_bytes(handle container, const char *what, text name) {
  say((text){what, text_length(what)});
  container_get(container, name.at, name.length, 0, INT64_MAX, ret);
  if (ret[0]) return say(text_at(4));
  incoming_value_whole(word(4), ret);
  say(text_at(4));
}

static void say_names(handle container) {
  say(TEXT(" names="));
  container_list(container, ret);
  names_read(word(4), 100, ret);
  const text *names = *(text **)(ret + 4);
  size_t count = word(8);
  for (size_t i = 0; i < count; i++) {
    say(names[i]);
    say(TEXT(","));
  }
}

static void try_all(text bucket, text name) {
  blobstore_get(bucket.at, bucket.length, ret);
  if (ret[0]) return say(text_at(4));
  handle container = word(4);
  say_bytes(container, "own=", name);
  say_bytes(container, " other=", TEXT("in/secret"));
  container_info(container, "in/secret", 9, ret);
  say(TEXT(" info="));
  say(ret[0] ? text_at(8) : TEXT("told"));
  say_names(container);
  container_write(container, name.at, name.length, outgoing_value_new(), ret);
  say_done(" write=");
  container_delete(container, name.at, name.length, ret);
  say_done(" delete=");
  container_clear(container, ret);
  say_done(" clear=");
  blobstore_move(bucket.at, bucket.length, name.at, name.length, bucket.at, bucket.length, "moved", 5, ret);
  say_done(" move=");
  blobstore_get("others", 6, ret);
  say_done(" others=");
}

HANDLE(request, out) {
  arena_used = used = 0;
  request_method(request, ret);
  if (ret[0] == 0) {
    text path = path_of(request);
    blobstore_get(path.at + 1, path.length - 1, ret);
    return answer(out, ret[0] ? 403 : 200, ret[0] ? text_at(4) : TEXT("open"));
  }
  text source = header(request, "ce-source"), key = percent_decoded(header(request, "ce-subject"));
  try_all((text){source.at + 9, source.length - 9}, key);
  say(TEXT("\n"));
  handle stdout = cli_stdout();
  output_blocking_write(stdout, (const char *)line, used, ret);
  output_drop(stdout);
  answer(out, 200, TEXT(""));
}
