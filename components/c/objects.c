// Objects over HTTP: `/CONTAINER/NAME` takes GET (with `?from=` and `?to=`, a part), HEAD (its size), PUT, which streams, DELETE,
// and POST, which moves it to the name in the body; `/CONTAINER/` lists the names, and is emptied by DELETE. `?drop=1` gives a PUT up.
#define ARENA_BYTES (1 << 20)
#include "blob.h"

enum { GET = 0, HEAD = 1, POST = 2, PUT = 3, DELETE = 4 };

static void refuse(handle out) { answer(out, 400, text_at(4)); }

static handle body_stream(handle request) {
  request_consume(request, ret);
  handle incoming = word(4);
  incoming_body_stream(incoming, ret);
  return word(4);
}

static void list(handle out, handle container) {
  container_list(container, ret);
  handle names = word(4);
  reply r = begin(out, 200, TEXT("text/plain"));
  for (int more = 1; more;) {
    arena_used = 0;
    names_read(names, 100, ret);
    if (ret[0]) break;
    const text *found = *(text **)(ret + 4);
    size_t count = word(8);
    more = !ret[12];
    for (size_t i = 0; i < count; i++) {
      put(r, found[i]);
      put(r, TEXT("\n"));
    }
  }
  names_drop(names);
  finish(r);
}

static void get(handle out, handle container, text name, int64_t from, int64_t to) {
  container_get(container, name.at, name.length, from, to, ret);
  if (ret[0]) return refuse(out);
  incoming_value_stream(word(4), ret);
  if (ret[0]) return refuse(out);
  handle stream = word(4);
  reply r = begin(out, 200, TEXT("application/octet-stream"));
  pour(stream, r.stream);
  finish(r);
}

static void size_of(handle out, handle container, text name) {
  container_info(container, name.at, name.length, ret);
  if (ret[0]) return answer(out, 404, text_at(8));
  char digits[20];
  answer(out, 200, (text){digits, decimal(*(uint64_t *)(ret + 32), digits)});
}

static void put_object(handle out, handle container, text name, handle request, int gives_up) {
  handle value = outgoing_value_new();
  container_write(container, name.at, name.length, value, ret);
  if (ret[0]) return refuse(out);
  outgoing_value_body(value, ret);
  handle to = word(4);
  pour(body_stream(request), to);
  output_blocking_flush(to, ret);
  output_drop(to);
  if (gives_up) return answer(out, 204, TEXT(""));
  outgoing_value_finish(value, ret);
  if (ret[0]) return refuse(out);
  answer(out, 204, TEXT(""));
}

static void move(handle out, text container, text name, handle request) {
  input_blocking_read(body_stream(request), 1024, ret);
  if (ret[0]) return answer(out, 400, TEXT("no name"));
  text other = text_at(4);
  blobstore_move(container.at, container.length, name.at, name.length, container.at, container.length, other.at, other.length, ret);
  if (ret[0]) return refuse(out);
  answer(out, 204, TEXT(""));
}

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  request_method(request, ret);
  int method = ret[0];
  size_t end = 1, stop;
  while (end < path.length && path.at[end] != '/') end++;
  for (stop = end; stop < path.length && path.at[stop] != '?';) stop++;
  text container_name = {path.at + 1, end - 1};
  text name = end + 1 < stop ? (text){path.at + end + 1, stop - end - 1} : TEXT("");
  blobstore_get(container_name.at, container_name.length, ret);
  if (ret[0]) return answer(out, 403, text_at(4));
  handle container = word(4);
  if (method == GET && !name.length) return list(out, container);
  if (method == GET) return get(out, container, name, query_number(path, TEXT("from"), 0), query_number(path, TEXT("to"), INT64_MAX));
  if (method == HEAD) return size_of(out, container, name);
  if (method == PUT) return put_object(out, container, name, request, query_number(path, TEXT("drop"), 0));
  if (method == POST) return move(out, container_name, name, request);
  if (name.length) container_delete(container, name.at, name.length, ret);
  else container_clear(container, ret);
  if (ret[0]) return refuse(out);
  answer(out, 204, TEXT(""));
}
