// Middleware and companion that counts in its own memory the requests it has seen: `/count` answers with the number, `/trap`
// traps, `/slow` waits for 50 ms, everything is passed on else. It says each call of its life on the log.
#include "../sidecar.h"

static uint64_t seen;

static outcome *say(text what) {
  logging_log(2, "life", 4, what.at, what.length);
  arena_used = 0;
  return ok();
}

HANDLE(request, out) {
  arena_used = 0;
  seen++;
  text path = path_of(request);
  if (starts_with(path, TEXT("/trap"))) __builtin_trap();
  if (starts_with(path, TEXT("/slow"))) {
    handle later = clock_subscribe(50000000);
    pollable_block(later);
    pollable_drop(later);
  }
  if (!starts_with(path, TEXT("/count")) && !starts_with(path, TEXT("/slow"))) return next_handle(request, out);
  request_drop(request);
  char digits[20];
  size_t length = decimal(seen, digits);
  answer(out, 200, (text){digits, length});
}

ON_CONFIGURE(settings, count) {
  (void)settings, (void)count;
  return say(TEXT("configure"));
}
ON_START() { return say(TEXT("start")); }
ON_READY() { return 1; }
ON_EXECUTION_STARTED(what) {
  (void)what;
  arena_used = 0;
}
ON_EXECUTION_ENDED(what) {
  (void)what;
  arena_used = 0;
}
ON_STATE_CHANGING(event) { return say(event == 2 ? TEXT("replaced") : event == 1 ? TEXT("draining") : TEXT("suspended")); }
ON_STOP() { say(TEXT("stop")); }
