// Middleware that misbehaves as the path says: `/silent` never calls the next one and does not answer, `/twice` calls it
// twice, `/half` reads a part of the body first, `/trap` traps, `/after` traps when the next one has answered, `/late` waits
// for a minute; else it passes the request on.
#include "../sidecar.h"

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  if (starts_with(path, TEXT("/silent"))) return;
  if (starts_with(path, TEXT("/trap"))) __builtin_trap();
  if (starts_with(path, TEXT("/late"))) pollable_block(clock_subscribe(60000000000));
  if (starts_with(path, TEXT("/half"))) {
    request_consume(request, ret);
    handle body = word(4);
    incoming_body_stream(body, ret);
    handle stream = word(4);
    input_blocking_read(stream, 3, ret);
    input_drop(stream);
    incoming_body_drop(body);
  }
  int twice = starts_with(path, TEXT("/twice")), after = starts_with(path, TEXT("/after"));
  next_handle(request, out);
  if (twice) next_handle(request, out);
  if (after) __builtin_trap();
}
