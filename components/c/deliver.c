// Takes events, and adds to `done`, and under the first word of the payload, in its bucket before it does what that word says:
// `trap`, `trap-first` (at the first attempt), `grow-N` (MiB of memory), `caught-N` (as grow, but answers 500), `status-N`,
// `later-N` (503 with retry-after), `spin`, `wrong` (a JSON body that says so); anything else it takes, and answers with its
// headers and the payload.
#define ARENA_BYTES (2 << 20)
#include "guest.h"

#define STORE "wasi:keyvalue/store@0.2.0-draft2"
#define ATOMICS "wasi:keyvalue/atomics@0.2.0-draft2"

IMPORT(STORE, "open") void store_open(const char *name, size_t length, void *ret);
IMPORT(ATOMICS, "increment") void bucket_increment(handle bucket, const char *key, size_t length, int64_t delta, void *ret);

static char whole[1 << 20];

/** Without a libc there is no memcpy to make of the loop. */
__attribute__((no_builtin("memcpy"))) static text read_body(handle request) {
  request_consume(request, ret);
  incoming_body_stream(word(4), ret);
  handle from = word(4);
  text body = {whole, 0};
  for (;;) {
    size_t used = arena_used;
    input_blocking_read(from, 65536, ret);
    if (ret[0]) break;
    text chunk = text_at(4);
    for (size_t i = 0; i < chunk.length && body.length < sizeof whole; i++) whole[body.length++] = chunk.at[i];
    arena_used = used;
  }
  input_drop(from);
  return body;
}

static void count(text key) {
  store_open("", 0, ret);
  if (ret[0]) return;
  handle bucket = word(4);
  bucket_increment(bucket, "done", 4, 1, ret);
  bucket_increment(bucket, key.at, key.length, 1, ret);
}

static int is_first(handle request) {
  fields_get(request_headers(request), "nacelle-attempt", 15, ret);
  const text *values = *(text **)ret;
  return word(4) == 0 || (values[0].length == 1 && values[0].at[0] == '1');
}

static int64_t number_after(text word, text prefix) {
  int64_t number = 0;
  for (size_t i = prefix.length; i < word.length && word.at[i] >= '0' && word.at[i] <= '9'; i++) number = number * 10 + (word.at[i] - '0');
  return number;
}

static int grow(text word, text prefix) { return __builtin_wasm_memory_grow(0, number_after(word, prefix) * 16) != (size_t)-1; }

static void later(handle out, text word) {
  handle fields = fields_new();
  char digits[20];
  size_t length = decimal(number_after(word, TEXT("later-")), digits);
  fields_append(fields, "retry-after", 11, digits, length, ret);
  handle response = response_new(fields);
  response_set_status(response, 503);
  outparam_set(out, 0, response, 0, 0, 0, 0, 0, 0);
}

static void echo(handle out, handle headers, text body) {
  static const char *const names[] = {"ce-id", "ce-type", "ce-source", "ce-subject", "content-type", "nacelle-attempt"};
  reply r = begin(out, 200, TEXT("text/plain"));
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    fields_get(headers, names[i], text_length(names[i]), ret);
    if (word(4) == 0) continue;
    text value = **(text **)ret;
    put(r, (text){names[i], text_length(names[i])});
    put(r, TEXT(": "));
    put(r, value);
    put(r, TEXT("\n"));
  }
  put(r, body);
  finish(r);
}

HANDLE(request, out) {
  arena_used = 0;
  int first = is_first(request);
  handle headers = request_headers(request);
  text body = read_body(request), word = {body.at, 0};
  while (word.length < body.length && word.at[word.length] != ' ' && word.at[word.length] != '\n') word.length++;
  count(word.length ? word : TEXT("-"));
  handle log = cli_stderr();
  output_blocking_write(log, "took ", 5, ret);
  output_blocking_write(log, word.at, word.length < 4096 ? word.length : 4096, ret);
  output_blocking_write(log, "\n", 1, ret);
  if (starts_with(word, TEXT("trap-first"))) {
    if (first) __builtin_trap();
  } else if (starts_with(word, TEXT("trap"))) __builtin_trap();
  if (starts_with(word, TEXT("grow-")) && !grow(word, TEXT("grow-"))) __builtin_trap();
  if (starts_with(word, TEXT("caught-")) && !grow(word, TEXT("caught-"))) return answer(out, 500, TEXT("no memory"));
  if (starts_with(word, TEXT("status-"))) return answer(out, number_after(word, TEXT("status-")), TEXT("as asked"));
  if (starts_with(word, TEXT("later-"))) return later(out, word);
  if (starts_with(word, TEXT("wrong"))) return answer(out, 200, TEXT("{\"order\":{\"state\":\"wrong\"}}"));
  if (starts_with(word, TEXT("spin"))) for (volatile int i = 0;; i++) {}
  echo(out, headers, body);
}
