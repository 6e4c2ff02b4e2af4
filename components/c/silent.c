// Never answers: `/sleep` waits for ever, `/return` returns without a response, `/drop` drops the outparam, `/unfinished`
// begins a response whose body it neither finishes nor drops, `/headless` drops an unfinished body.
#include "guest.h"

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  request_drop(request);
  if (starts_with(path, TEXT("/sleep"))) pollable_block(clock_subscribe(INT64_MAX));
  if (starts_with(path, TEXT("/forever"))) pollable_block(clock_subscribe(-1));
  if (starts_with(path, TEXT("/drop"))) outparam_drop(out);
  if (starts_with(path, TEXT("/unfinished"))) put(begin(out, 200, TEXT("text/plain")), TEXT("begun\n"));
  if (starts_with(path, TEXT("/headless"))) {
    reply r = begin(out, 200, TEXT("text/plain"));
    put(r, TEXT("begun\n"));
    output_drop(r.stream);
    outgoing_body_drop(r.body);
  }
}
