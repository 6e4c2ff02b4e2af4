// A slow body: `?chunks=N` lines (3 if not given), one each `?ms=N` (100 if not given).
#include "guest.h"

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  request_drop(request);
  int64_t chunks = query_number(path, TEXT("chunks"), 3), ms = query_number(path, TEXT("ms"), 100);
  reply r = begin(out, 200, TEXT("text/plain"));
  for (int64_t i = 0; i < chunks; i++) {
    char digits[20];
    put(r, TEXT("chunk "));
    put(r, (text){digits, decimal(i, digits)});
    put(r, TEXT("\n"));
    handle timer = clock_subscribe(ms * 1000000);
    pollable_block(timer);
    pollable_drop(timer);
  }
  finish(r);
}
