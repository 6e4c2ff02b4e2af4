// Takes memory until it is refused: `/trap` then traps, anything else answers with the number of pages. `?pages=N` takes
// no more than N.
#include "guest.h"

static uint64_t grow(int64_t most) {
  uint64_t taken = 0;
  while (most < 0 || taken < (uint64_t)most) {
    size_t old = __builtin_wasm_memory_grow(0, 16);
    if (old == (size_t)-1) break;
    for (int i = 0; i < 16; i++) *(volatile uint8_t *)((old + i) * 65536) = 1;
    taken += 16;
  }
  return taken;
}

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  uint64_t taken = grow(query_number(path, TEXT("pages"), -1));
  if (starts_with(path, TEXT("/trap"))) __builtin_trap();
  char digits[20];
  reply r = begin(out, 200, TEXT("text/plain"));
  put(r, (text){digits, decimal(taken, digits)});
  put(r, TEXT(" of "));
  put(r, (text){digits, decimal(__builtin_wasm_memory_size(0), digits)});
  put(r, TEXT(" pages\n"));
  finish(r);
  request_drop(request);
}
