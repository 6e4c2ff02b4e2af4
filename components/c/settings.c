// Answers with what it was given: `env NAME=VALUE` and `config KEY=VALUE` lines; `/KEY` answers with one configuration value,
// which may be a secret, or 404.
#include "guest.h"

typedef struct {
  text name;
  text value;
} pair;

static void put_pairs(reply r, text kind, const pair *pairs, size_t count) {
  for (size_t i = 0; i < count; i++) {
    put(r, kind);
    put(r, pairs[i].name);
    put(r, TEXT("="));
    put(r, pairs[i].value);
    put(r, TEXT("\n"));
  }
}

static void one(handle out, text key) {
  config_get(key.at, key.length, ret);
  if (ret[0] || !ret[4]) return answer(out, 404, TEXT("not set\n"));
  answer(out, 200, text_at(8));
}

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  request_drop(request);
  if (path.length > 1) return one(out, (text){path.at + 1, path.length - 1});
  cli_environment(ret);
  const pair *variables = *(pair **)ret;
  size_t variable_count = word(4);
  config_all(ret);
  const pair *values = *(pair **)(ret + 4);
  size_t value_count = ret[0] ? 0 : word(8);
  reply r = begin(out, 200, TEXT("text/plain"));
  put_pairs(r, TEXT("env "), variables, variable_count);
  put_pairs(r, TEXT("config "), values, value_count);
  finish(r);
}
