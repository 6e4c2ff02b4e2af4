// A function that asks a provider of nacelle:features/toggles whether the flag `checkout` is on for the subject that its path names.
#include "../sidecar.h"

#define FLAGS "nacelle:features/toggles@0.1.0"

IMPORT(FLAGS, "enabled") int32_t flags_enabled(const char *flag, size_t flag_length, const char *subject, size_t subject_length);
IMPORT(FLAGS, "value") void flags_value(const char *flag, size_t flag_length, void *ret);

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  request_drop(request);
  int32_t on = flags_enabled("checkout", 8, path.at + 1, path.length - 1);
  flags_value("checkout", 8, ret);
  text value = *ret ? text_at(4) : TEXT("not set");
  reply r = begin(out, 200, TEXT("text/plain"));
  put(r, on ? TEXT("on ") : TEXT("off "));
  put(r, value);
  finish(r);
}
