// Makes bytes of its request: the body (or, with `?sources=1`, all objects of the container `sources`, each behind its name) as
// often as `?times=` says, and with `?stamp=1` a line of random, clock and environment. `?trap=1` traps, `?loop=1` never ends,
// `?traps=N` traps when it has given N of them; before each it counts `?work=` thousands. `?turns=1` is impure: it tells how long it waited for each piece of the body.
#define ARENA_BYTES (8 << 20)
#include "blob.h"

static text body;
static char turns[65536];
static text waited = {turns, 0};

/** Reads what is there; while nothing is, lets others go on, and counts how often. */
static void read_piece(handle from) {
  for (uint64_t count = 0;; count++) {
    input_read(from, 65536, ret);
    if (ret[0] || text_at(4).length) {
      if (waited.length + 21 < sizeof turns) waited.length += decimal(count, turns + waited.length);
      turns[waited.length++] = '\n';
      return;
    }
    handle turn = clock_subscribe(0);
    pollable_block(turn);
    pollable_drop(turn);
  }
}

static void read_body(handle request, int counts) {
  request_consume(request, ret);
  handle incoming = word(4);
  incoming_body_stream(incoming, ret);
  handle from = word(4);
  static char whole[4 << 20];
  body = (text){whole, 0};
  for (;;) {
    arena_used = 0;
    if (counts) read_piece(from);
    else input_blocking_read(from, 65536, ret);
    if (ret[0]) break;
    text chunk = text_at(4);
    for (size_t i = 0; i < chunk.length && body.length < sizeof whole; i++) whole[body.length++] = chunk.at[i];
  }
  input_drop(from);
}

static void put_number(reply r, text name, uint64_t number) {
  char digits[20];
  put(r, name);
  put(r, (text){digits, decimal(number, digits)});
}

static void put_stamp(reply r) {
  put_number(r, TEXT("random="), random_u64());
  put_number(r, TEXT(" then="), random_u64());
  put_number(r, TEXT(" now="), clock_now());
  cli_environment(ret);
  put_number(r, TEXT(" env="), word(4));
  put(r, TEXT("\n"));
}

static void put_sources(reply r) {
  blobstore_get("sources", 7, ret);
  if (ret[0]) __builtin_trap();
  handle container = word(4);
  container_list(container, ret);
  names_read(word(4), 100, ret);
  const text *names = *(text **)(ret + 4);
  size_t count = word(8);
  for (size_t i = 0; i < count; i++) {
    container_get(container, names[i].at, names[i].length, 0, UINT64_MAX, ret);
    if (ret[0]) __builtin_trap();
    incoming_value_whole(word(4), ret);
    text found = text_at(4);
    put(r, names[i]);
    put(r, TEXT(": "));
    put(r, found);
    put(r, TEXT("\n"));
  }
}

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  static char kept[4096];
  for (size_t i = 0; i < path.length && i < sizeof kept; i++) kept[i] = path.at[i];
  path.at = kept;
  if (query_number(path, TEXT("trap"), 0)) __builtin_trap();
  for (volatile int64_t loop = query_number(path, TEXT("loop"), 0); loop;) continue;
  read_body(request, query_number(path, TEXT("turns"), 0));
  reply r = begin(out, 200, TEXT("text/plain"));
  int64_t work = 1000 * (int64_t)query_number(path, TEXT("work"), 0);
  int64_t traps = query_number(path, TEXT("traps"), -1);
  for (int64_t times = query_number(path, TEXT("times"), 1); times > 0; times--) {
    if (traps-- == 0) __builtin_trap();
    for (volatile int64_t left = work; left > 0; left--) continue;
    put(r, body);
  }
  put(r, waited);
  if (query_number(path, TEXT("sources"), 0)) put_sources(r);
  if (query_number(path, TEXT("stamp"), 0)) put_stamp(r);
  finish(r);
}
