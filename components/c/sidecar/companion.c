// Companion: says each call of its life on the log. With the setting `trap`, `hang`, `refuse` or `spin` it does that in the call named.
#include "../sidecar.h"

static char kinds[4][32];
static size_t lengths[4];
static const char *const names[4] = {"trap", "hang", "refuse", "spin"};

static void say(text what, text more) {
  static char line[256];
  size_t n = 0;
  for (size_t i = 0; i < what.length && n < sizeof line; i++) line[n++] = what.at[i];
  if (more.length && n < sizeof line) line[n++] = ' ';
  for (size_t i = 0; i < more.length && n < sizeof line; i++) line[n++] = more.at[i];
  logging_log(2, "life", 4, line, n);
}

static int is(int kind, text call) { return same((text){kinds[kind], lengths[kind]}, call); }

static outcome *act(text call, text more) {
  say(call, more);
  if (is(0, call)) __builtin_trap();
  if (is(1, call)) pollable_block(clock_subscribe(60000000000));
  if (is(3, call))
    for (volatile int i = 0;; i++) continue;
  return is(2, call) ? refuse(TEXT("not in the mood")) : ok();
}

ON_CONFIGURE(settings, count) {
  for (int kind = 0; kind < 4; kind++) {
    text value = setting(settings, count, (text){names[kind], text_length(names[kind])});
    lengths[kind] = value.length < 32 ? value.length : 32;
    for (size_t i = 0; i < lengths[kind]; i++) kinds[kind][i] = value.at[i];
  }
  return act(TEXT("configure"), setting(settings, count, TEXT("greeting")));
}
ON_START() { return act(TEXT("start"), TEXT("")); }
ON_READY() { return !act(TEXT("ready"), TEXT(""))->is_err; }
ON_EXECUTION_STARTED(what) {
  act(TEXT("execution-started"), what.path);
  arena_used = 0;
}
ON_EXECUTION_ENDED(what) {
  act(TEXT("execution-ended"), what->metering.code.some ? what->metering.code.value : what->execution.path);
  arena_used = 0;
}
ON_STATE_CHANGING(event) {
  static const char *const events[] = {"suspended", "draining", "replaced"};
  return act(TEXT("state-changing"), (text){events[event], text_length(events[event])});
}
ON_STOP() { act(TEXT("stop"), TEXT("")); }
