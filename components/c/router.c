// A JSON router with state in memory: GET /count, GET and PUT and DELETE /items/ID, GET /items. The state is seen by the
// next request only where the instance is kept (`instance: reuse`).
#include "guest.h"

#define ITEMS 32
#define ITEM_BYTES 256

static struct {
  int used;
  int64_t id;
  size_t length;
  char value[ITEM_BYTES];
} items[ITEMS];
static uint64_t count;

enum { GET = 0, PUT = 3, DELETE = 4 };

static void put_number(reply r, uint64_t number) {
  char digits[20];
  put(r, (text){digits, decimal(number, digits)});
}

static void problem(handle out, int32_t status, text title) {
  reply r = begin(out, status, TEXT("application/json"));
  put(r, TEXT("{\"error\":\""));
  put(r, title);
  put(r, TEXT("\"}\n"));
  finish(r);
}

static void put_item(reply r, int i) {
  put(r, TEXT("{\"id\":"));
  put_number(r, items[i].id);
  put(r, TEXT(",\"value\":"));
  put(r, (text){items[i].value, items[i].length});
  put(r, TEXT("}"));
}

static int find(int64_t id) {
  for (int i = 0; i < ITEMS; i++)
    if (items[i].used && items[i].id == id) return i;
  return -1;
}

static int free_slot(void) {
  for (int i = 0; i < ITEMS; i++)
    if (!items[i].used) return i;
  return -1;
}

/** Reads the whole body into the item; returns 0 if it does not fit. */
static int read_value(handle request, int i) {
  request_consume(request, ret);
  handle body = word(4);
  incoming_body_stream(body, ret);
  handle stream = word(4);
  items[i].length = 0;
  int fits = 1;
  for (;;) {
    arena_used = 0;
    input_blocking_read(stream, 4096, ret);
    if (*ret) break;
    text part = text_at(4);
    fits = fits && part.length <= ITEM_BYTES - items[i].length;
    if (!fits) break;
    for (size_t k = 0; k < part.length; k++) items[i].value[items[i].length++] = part.at[k];
  }
  input_drop(stream);
  incoming_body_drop(body);
  return fits && items[i].length > 0;
}

static void list(handle out) {
  reply r = begin(out, 200, TEXT("application/json"));
  int n = 0;
  put(r, TEXT("["));
  for (int i = 0; i < ITEMS; i++) {
    if (!items[i].used) continue;
    if (n++) put(r, TEXT(","));
    put_item(r, i);
  }
  put(r, TEXT("]\n"));
  finish(r);
}

static void one(handle out, int32_t status, int i) {
  reply r = begin(out, status, TEXT("application/json"));
  put_item(r, i);
  put(r, TEXT("\n"));
  finish(r);
}

static void replace(handle request, handle out, int64_t id) {
  int i = find(id), is_new = i < 0;
  if (is_new) i = free_slot();
  if (i < 0) return problem(out, 507, TEXT("full"));
  items[i].used = read_value(request, i);
  items[i].id = id;
  if (!items[i].used) return problem(out, 413, TEXT("the value must have 1 to 256 bytes"));
  one(out, is_new ? 201 : 200, i);
}

static void item(handle request, handle out, int32_t method, text rest) {
  int64_t id = 0;
  for (size_t k = 0; k < rest.length; k++) {
    if (rest.at[k] < '0' || rest.at[k] > '9' || k > 15) return problem(out, 400, TEXT("an id is a number"));
    id = id * 10 + rest.at[k] - '0';
  }
  if (method == PUT) return replace(request, out, id);
  int i = find(id);
  if (i < 0) return problem(out, 404, TEXT("no such item"));
  if (method == DELETE) items[i].used = 0;
  else if (method != GET) return problem(out, 405, TEXT("method not allowed"));
  one(out, 200, i);
}

static void counted(handle out) {
  reply r = begin(out, 200, TEXT("application/json"));
  put(r, TEXT("{\"count\":"));
  put_number(r, ++count);
  put(r, TEXT("}\n"));
  finish(r);
}

HANDLE(request, out) {
  arena_used = 0;
  request_method(request, ret);
  int32_t method = *ret;
  text path = path_of(request);
  if (starts_with(path, TEXT("/items/"))) item(request, out, method, (text){path.at + 7, path.length - 7});
  else if (starts_with(path, TEXT("/items"))) list(out);
  else if (starts_with(path, TEXT("/count"))) counted(out);
  else if (path.length == 1) answer(out, 200, TEXT("{\"routes\":[\"/count\",\"/items\",\"/items/ID\"]}\n"));
  else problem(out, 404, TEXT("not found"));
  request_drop(request);
}
