// Access log: a companion that writes one line for each execution, in the common order: method, path, status, bytes, time,
// CPU time and memory. Setting `slowMs`: only executions that took at least so long, and those that failed.
#include "../components/c/sidecar.h"

static uint64_t slow_us;
static char line[2048];
static size_t used;

static void add(text part) {
  for (size_t i = 0; i < part.length && used < sizeof line; i++) line[used++] = part.at[i] < ' ' ? '?' : part.at[i];
}

static void add_number(uint64_t number) {
  char digits[20];
  add((text){digits, decimal(number, digits)});
}

static void add_field(text name, uint64_t number, text unit) {
  add(name);
  add_number(number);
  add(unit);
}

ON_CONFIGURE(settings, count) {
  text value = setting(settings, count, TEXT("slowMs"));
  slow_us = 0;
  for (size_t i = 0; i < value.length; i++) {
    if (value.at[i] < '0' || value.at[i] > '9' || i > 8) return refuse(TEXT("slowMs must be a whole number of milliseconds"));
    slow_us = slow_us * 10 + (value.at[i] - '0');
  }
  slow_us *= 1000;
  arena_used = 0;
  return ok();
}

ON_START() { return ok(); }
ON_READY() { return 1; }

ON_EXECUTION_STARTED(what) {
  (void)what;
  arena_used = 0;
}

ON_EXECUTION_ENDED(what) {
  const execution *e = &what->execution;
  const metering *m = &what->metering;
  arena_used = 0;
  if (!m->code.some && m->wall_us < slow_us) return;
  used = 0;
  add(e->method);
  add(TEXT(" "));
  add(e->path);
  add_field(TEXT(" "), m->status, TEXT(""));
  add_field(TEXT(" "), m->bytes_out, TEXT(" bytes"));
  add_field(TEXT(", "), m->wall_us, TEXT(" us"));
  add_field(TEXT(", cpu "), m->cpu_us, TEXT(" us"));
  add_field(TEXT(", memory "), m->memory_bytes_peak / 1024, TEXT(" KiB"));
  if (m->code.some) {
    add(TEXT(", "));
    add(m->code.value);
  }
  logging_log(m->code.some ? 4 : 2, "", 0, line, used);
}

ON_STATE_CHANGING(event) {
  (void)event;
  return ok();
}

ON_STOP() {}
