// Companion that never waits: quick for as many executions as `quick` says, then `how` (trap, spin) in `execution-ended`.
#include "../sidecar.h"

static uint32_t quick;
static uint32_t seen;
static int spins;

ON_CONFIGURE(settings, count) {
  text digits = setting(settings, count, TEXT("quick"));
  for (size_t i = 0; i < digits.length; i++) quick = quick * 10 + (uint32_t)(digits.at[i] - '0');
  spins = same(setting(settings, count, TEXT("how")), TEXT("spin"));
  return ok();
}
ON_START() { return ok(); }
ON_READY() { return 1; }
ON_EXECUTION_STARTED(what) {
  (void)what;
  arena_used = 0;
}
ON_EXECUTION_ENDED(what) {
  (void)what;
  arena_used = 0;
  if (++seen <= quick) return;
  if (!spins) __builtin_trap();
  for (volatile int i = 0;; i++) continue;
}
ON_STATE_CHANGING(event) {
  (void)event;
  return ok();
}
ON_STOP() {}
