// Companion: takes every call of its life and does nothing.
#include "../sidecar.h"

ON_CONFIGURE(settings, count) {
  (void)settings, (void)count;
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
}
ON_STATE_CHANGING(event) {
  (void)event;
  return ok();
}
ON_STOP() {}
