// Feature flags: a provider of nacelle:features/toggles. Each setting is a flag: `on`, `off`, or a share of subjects as in `25%`.
#include "../components/c/sidecar.h"

#define FLAGS "nacelle:features/toggles@0.1.0"

static text flag_of(text name) {
  configuration_settings(ret);
  const pair *settings = *(pair **)ret;
  return setting(settings, word(4), name);
}

/** A number from 0 to 99 that belongs to a flag and a subject (FNV-1a). */
static uint32_t share_of(text flag, text subject) {
  uint32_t hash = 2166136261u;
  for (size_t i = 0; i < flag.length; i++) hash = (hash ^ (uint8_t)flag.at[i]) * 16777619u;
  hash = (hash ^ '/') * 16777619u;
  for (size_t i = 0; i < subject.length; i++) hash = (hash ^ (uint8_t)subject.at[i]) * 16777619u;
  hash ^= hash >> 16;
  hash *= 2246822507u;
  hash ^= hash >> 13;
  return hash % 100;
}

EXPORT(FLAGS "#enabled") int32_t enabled(const char *flag, size_t flag_length, const char *subject, size_t subject_length) {
  text name = {flag, flag_length}, value = flag_of(name);
  int32_t on = same(value, TEXT("on")) || same(value, TEXT("true"));
  if (value.length > 1 && value.at[value.length - 1] == '%') {
    uint32_t percent = 0;
    for (size_t i = 0; i + 1 < value.length && i < 3; i++) percent = percent * 10 + (value.at[i] - '0');
    on = share_of(name, (text){subject, subject_length}) < percent;
  }
  arena_used = 0;
  return on;
}

EXPORT(FLAGS "#value") void *value_of(const char *flag, size_t flag_length) {
  static struct {
    uint8_t some;
    text value;
  } answer;
  answer.value = flag_of((text){flag, flag_length});
  answer.some = answer.value.length > 0;
  arena_used = 0;
  return &answer;
}
