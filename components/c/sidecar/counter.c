// Middleware with a memory that outlives executions: counts them in what it records, and answers with the count so far. `/pass`
// is passed on, counted too.
#include "../sidecar.h"

HANDLE(request, out) {
  arena_used = 0;
  configuration_settings(ret);
  const pair *settings = *(pair **)ret;
  size_t count = word(4);
  text before = setting(settings, count, TEXT("count"));
  uint64_t number = 0;
  for (size_t i = 0; i < before.length; i++) number = number * 10 + (before.at[i] - '0');
  static char digits[20];
  size_t length = decimal(number + 1, digits);
  configuration_record("count", 5, 1, digits, length);
  if (starts_with(path_of(request), TEXT("/pass"))) return next_handle(request, out);
  request_drop(request);
  answer(out, 200, before);
}
