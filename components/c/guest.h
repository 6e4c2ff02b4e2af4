// What the small C components share: memory for what the host returns, strings, and a response in one call.
#pragma once
#include "wasi.h"

#ifndef ARENA_BYTES
#define ARENA_BYTES 65536
#endif

static _Alignas(16) uint8_t ret[256];
static _Alignas(16) uint8_t arena[ARENA_BYTES];
static size_t arena_used;

/** Memory for lists and strings from the host; given back as a whole by `arena_used = 0` at the start of each call. */
#ifndef OWN_REALLOC
EXPORT("cabi_realloc") void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
  arena_used = (arena_used + align - 1) & ~(align - 1);
  if (size > sizeof arena || arena_used > sizeof arena - size) __builtin_trap();
  uint8_t *start = arena + arena_used;
  arena_used += size;
  for (size_t i = 0; i < old_size && i < size; i++) start[i] = ((uint8_t *)old)[i];
  return start;
}
#endif

typedef struct {
  const char *at;
  size_t length;
} text;

#define TEXT(literal) ((text){literal, sizeof literal - 1})

static inline int32_t word(size_t offset) { return *(int32_t *)(ret + offset); }

static inline text text_at(size_t offset) { return (text){*(const char **)(ret + offset), *(size_t *)(ret + offset + 4)}; }

static inline size_t text_length(const char *string) {
  size_t n = 0;
  while (string[n]) n++;
  return n;
}

static inline int starts_with(text whole, text prefix) {
  if (whole.length < prefix.length) return 0;
  for (size_t i = 0; i < prefix.length; i++)
    if (whole.at[i] != prefix.at[i]) return 0;
  return 1;
}

static inline text path_of(handle request) {
  request_path(request, ret);
  return *ret ? text_at(4) : TEXT("/");
}

/** The number after `name=` in the query, or `otherwise`. */
static inline int64_t query_number(text path, text name, int64_t otherwise) {
  for (size_t i = 0; i + name.length < path.length; i++) {
    if (path.at[i] != '?' && path.at[i] != '&') continue;
    text rest = {path.at + i + 1, path.length - i - 1};
    if (!starts_with(rest, name) || rest.length == name.length || rest.at[name.length] != '=') continue;
    int64_t number = 0;
    for (size_t k = name.length + 1; k < rest.length && rest.at[k] >= '0' && rest.at[k] <= '9'; k++) number = number * 10 + (rest.at[k] - '0');
    return number;
  }
  return otherwise;
}

/** Writes `number` in decimal to `out` (20 bytes are enough for any u64) and returns how many digits. */
static inline size_t decimal(uint64_t number, char *out) {
  char digits[20];
  size_t n = 0;
  do {
    digits[n++] = '0' + number % 10;
    number /= 10;
  } while (number);
  for (size_t i = 0; i < n; i++) out[i] = digits[n - 1 - i];
  return n;
}

typedef struct {
  handle body;
  handle stream;
} reply;

/** Begins the response: status and content type are sent, its body stays open. */
static inline reply begin(handle out, int32_t status, text type) {
  handle fields = fields_new();
  fields_append(fields, "content-type", 12, type.at, type.length, ret);
  handle response = response_new(fields);
  if (status != 200) response_set_status(response, status);
  response_body(response, ret);
  handle body = word(4);
  outgoing_body_write(body, ret);
  handle stream = word(4);
  outparam_set(out, 0, response, 0, 0, 0, 0, 0, 0);
  return (reply){body, stream};
}

static inline void put(reply r, text part) {
  while (part.length) {
    size_t n = part.length < 4096 ? part.length : 4096;
    output_blocking_write(r.stream, part.at, n, ret);
    part.at += n;
    part.length -= n;
  }
}

static inline void finish(reply r) {
  output_drop(r.stream);
  outgoing_body_finish(r.body, 0, 0, ret);
}

static inline void answer(handle out, int32_t status, text body) {
  reply r = begin(out, status, TEXT("text/plain"));
  put(r, body);
  finish(r);
}

#define HANDLE(request, out) EXPORT("wasi:http/incoming-handler@" WASI_VERSION "#handle") void incoming_handle(handle request, handle out)
