// The region `board`: `/add?at=A&by=N` and `/cas?at=A&from=X&to=Y` answer with a number, `/get?at=A` with the one there,
// `/put?at=A&bytes=N` writes N bytes of x, `/flush` stores it, `/size`; `/many?at=A&n=N` adds 1 N times; `/bump?at=A&hold=MS` reads
// a number, waits, writes one more and answers with what it reads then. `trap=N` traps up to attempt N when it has done all
// that. Errors are named.
#define ARENA_BYTES (1 << 20)
#include "guest.h"
#include "state.h"

static void answer_number(handle out, int64_t number) {
  static char digits[24];
  size_t sign = number < 0;
  digits[0] = '-';
  size_t length = sign + decimal(sign ? -number : number, digits + sign);
  digits[length++] = '\n';
  answer(out, 200, (text){digits, length});
}

/** The number that an answer of 64 bits has, or its error. */
static void answer_result(handle out) {
  if (ret[0]) return answer_error(out, 8);
  answer_number(out, *(int64_t *)(ret + 8));
}

/** Reads a number, waits, and writes one more. */
static void bump(handle region, int64_t at, int64_t hold) {
  region_read(region, at, 8, ret);
  if (ret[0]) return;
  int64_t next = *(int64_t *)text_at(4).at + 1;
  if (hold) rest(hold);
  region_write(region, at, &next, sizeof next, ret);
}

static int64_t number_at(handle region, int64_t at) {
  region_read(region, at, 8, ret);
  return ret[0] ? -1 : *(int64_t *)text_at(4).at;
}

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  int64_t attempt = attempt_of(request);
  request_drop(request);
  int64_t at = query_number(path, TEXT("at"), 0), n = query_number(path, TEXT("n"), 0);
  int64_t trap = query_number(path, TEXT("trap"), -1);
  region_open("board", 5, ret);
  if (ret[0]) return answer_error(out, 4);
  handle region = word(4);
  if (starts_with(path, TEXT("/add"))) {
    region_add(region, at, query_number(path, TEXT("by"), 1), ret);
    if (attempt <= trap) __builtin_trap();
    return answer_result(out);
  }
  if (starts_with(path, TEXT("/cas"))) {
    region_cas(region, at, query_number(path, TEXT("from"), 0), query_number(path, TEXT("to"), 0), ret);
    return answer_result(out);
  }
  if (starts_with(path, TEXT("/many"))) {
    while (n-- > 0) region_add(region, at, 1, ret);
    return answer_result(out);
  }
  if (starts_with(path, TEXT("/put"))) {
    static char bytes[65536];
    size_t length = query_number(path, TEXT("bytes"), 8);
    if (length > sizeof bytes) length = sizeof bytes;
    for (size_t i = 0; i < length; i++) ((volatile char *)bytes)[i] = 'x';
    region_write(region, at, bytes, length, ret);
    return ret[0] ? answer_error(out, 4) : answer(out, 200, TEXT("written\n"));
  }
  if (starts_with(path, TEXT("/flush"))) {
    region_flush(region, ret);
    return ret[0] ? answer_error(out, 4) : answer(out, 200, TEXT("stored\n"));
  }
  if (starts_with(path, TEXT("/size"))) return answer_number(out, region_size(region));
  if (starts_with(path, TEXT("/bump"))) bump(region, at, query_number(path, TEXT("hold"), 0));
  if (starts_with(path, TEXT("/bump")) && attempt <= trap) __builtin_trap();
  region_read(region, at, 8, ret);
  if (ret[0]) return answer_error(out, 4);
  answer_number(out, number_at(region, at));
}
