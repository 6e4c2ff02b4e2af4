// Middleware that answers `/probe/…` with what it can reach: `settings`, `file/NAME`, `change/NAME` (which tries to write,
// truncate, rename and remove it), `bucket/NAME`, `host/AUTHORITY`. Everything else is passed on.
#include "../sidecar.h"

#define FILES "wasi:filesystem/types@" WASI_VERSION
#define STORE "wasi:keyvalue/store@0.2.0-draft2"

IMPORT("wasi:filesystem/preopens@" WASI_VERSION, "get-directories") void directories(void *ret);
IMPORT(FILES, "[method]descriptor.open-at")
void open_at(handle self, int32_t follow, const char *path, size_t length, int32_t open, int32_t flags, void *ret);
IMPORT(FILES, "[method]descriptor.read") void file_read(handle self, int64_t length, int64_t offset, void *ret);
IMPORT(FILES, "[method]descriptor.unlink-file-at") void unlink_at(handle self, const char *path, size_t length, void *ret);
IMPORT(FILES, "[method]descriptor.rename-at")
void rename_at(handle self, const char *path, size_t length, handle base, const char *to, size_t to_length, void *ret);
IMPORT(FILES, "[resource-drop]descriptor") void descriptor_drop(handle self);
IMPORT(STORE, "open") void store_open(const char *name, size_t length, void *ret);
IMPORT(STORE, "[resource-drop]bucket") void bucket_drop(handle self);

enum { CREATE = 1, TRUNCATE = 8, READ = 1, WRITE = 2 };

/** The root, or 0 where there is no directory. */
static handle root_directory(void) {
  directories(ret);
  const handle *first = *(handle **)ret;
  return word(4) ? *first : 0;
}

static void put_pairs(reply r, text kind, const pair *pairs, size_t count) {
  for (size_t i = 0; i < count; i++) {
    put(r, kind);
    put(r, pairs[i].name);
    put(r, TEXT("="));
    put(r, pairs[i].value);
    put(r, TEXT("\n"));
  }
}

static void settings_to(handle out) {
  cli_environment(ret);
  const pair *variables = *(pair **)ret;
  size_t variable_count = word(4);
  config_all(ret);
  const pair *values = *(pair **)(ret + 4);
  size_t value_count = ret[0] ? 0 : word(8);
  reply r = begin(out, 200, TEXT("text/plain"));
  put_pairs(r, TEXT("env "), variables, variable_count);
  put_pairs(r, TEXT("config "), values, value_count);
  finish(r);
}

static void file_to(handle out, text name) {
  handle root = root_directory();
  if (!root) return answer(out, 404, TEXT("no directory"));
  open_at(root, 0, name.at, name.length, 0, READ, ret);
  if (ret[0]) return answer(out, 404, TEXT("no such file"));
  handle file = word(4);
  file_read(file, 32768, 0, ret);
  text content = ret[0] ? TEXT("unreadable") : text_at(4);
  descriptor_drop(file);
  answer(out, 200, content);
}

/** Says which of four ways to change a file were refused, and whether another file can be made beside it. */
static void change(handle out, text name) {
  handle root = root_directory();
  char said[] = "-----";
  open_at(root, 0, name.at, name.length, 0, READ | WRITE, ret);
  if (ret[0]) said[0] = 'w';
  open_at(root, 0, name.at, name.length, TRUNCATE, READ, ret);
  if (ret[0]) said[1] = 't';
  rename_at(root, name.at, name.length, root, "moved", 5, ret);
  if (ret[0]) said[2] = 'r';
  unlink_at(root, name.at, name.length, ret);
  if (ret[0]) said[3] = 'u';
  open_at(root, 0, "new", 3, CREATE, READ | WRITE, ret);
  if (!ret[0]) said[4] = 'c';
  answer(out, 200, (text){said, 5});
}

static void bucket_to(handle out, text name) {
  store_open(name.at, name.length, ret);
  answer(out, 200, ret[0] ? TEXT("refused") : TEXT("open"));
}

static void host_to(handle out, text authority) {
  handle request = outgoing_request_new(fields_new());
  outgoing_request_set_scheme(request, 1, 0, 0, 0);
  outgoing_request_set_authority(request, 1, authority.at, authority.length);
  outgoing_handle(request, 0, 0, ret);
  answer(out, 200, ret[0] ? TEXT("refused") : TEXT("sent"));
}

static text after(text path, text prefix) { return (text){path.at + prefix.length, path.length - prefix.length}; }

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  if (!starts_with(path, TEXT("/probe/"))) return next_handle(request, out);
  request_drop(request);
  text what = after(path, TEXT("/probe/"));
  if (starts_with(what, TEXT("file/"))) return file_to(out, after(what, TEXT("file/")));
  if (starts_with(what, TEXT("change/"))) return change(out, after(what, TEXT("change/")));
  if (starts_with(what, TEXT("bucket/"))) return bucket_to(out, after(what, TEXT("bucket/")));
  if (starts_with(what, TEXT("host/"))) return host_to(out, after(what, TEXT("host/")));
  settings_to(out);
}
