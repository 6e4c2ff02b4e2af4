// A big answer: `?headers=N` headers with values of `?value=N` bytes (10 if not given), and a body of `?body=N` bytes.
#include "guest.h"

static char filler[65536];

static void add_header(handle fields, int64_t i, size_t length) {
  char name[32] = "x-big-";
  size_t n = 6 + decimal(i, name + 6);
  fields_append(fields, name, n, filler, length, ret);
}

static handle response_with_headers(text path) {
  int64_t headers = query_number(path, TEXT("headers"), 0);
  size_t length = query_number(path, TEXT("value"), 10);
  handle fields = fields_new();
  for (int64_t i = 0; i < headers; i++) add_header(fields, i, length < sizeof filler ? length : sizeof filler);
  return response_new(fields);
}

HANDLE(request, out) {
  arena_used = 0;
  for (size_t i = 0; i < sizeof filler; i++) filler[i] = 'a' + i % 26;
  text path = path_of(request);
  request_drop(request);
  handle response = response_with_headers(path);
  response_body(response, ret);
  handle body = word(4);
  outgoing_body_write(body, ret);
  reply r = {body, word(4)};
  outparam_set(out, 0, response, 0, 0, 0, 0, 0, 0);
  for (int64_t left = query_number(path, TEXT("body"), 0); left > 0; left -= sizeof filler) {
    put(r, (text){filler, left < (int64_t)sizeof filler ? (size_t)left : sizeof filler});
  }
  finish(r);
}
