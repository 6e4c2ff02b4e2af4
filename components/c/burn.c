// Burns CPU: `?ms=N` by the clock, `?iterations=N` by count (10,000 if neither), `/loop` for ever.
#include "guest.h"

static volatile uint32_t sink;

static void turn(uint64_t iterations) {
  uint32_t x = 1;
  for (uint64_t i = 0; i < iterations; i++) x = x * 1664525 + 1013904223;
  sink = x;
}

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  while (starts_with(path, TEXT("/loop"))) turn(1000);
  int64_t ms = query_number(path, TEXT("ms"), -1);
  if (ms >= 0) {
    int64_t end = clock_now() + ms * 1000000;
    while (clock_now() < end) turn(1000);
  } else {
    turn(query_number(path, TEXT("iterations"), 10000));
  }
  char digits[20];
  reply r = begin(out, 200, TEXT("text/plain"));
  put(r, (text){digits, decimal(sink, digits)});
  put(r, TEXT("\n"));
  finish(r);
  request_drop(request);
}
