// A control function that has the input mended: reads it over HTTP, from the host of the configuration key `api` with the token
// `TOKEN`, and has its first word left out. Answers 500 if it cannot read it.
#define ARENA_BYTES (1 << 20)
#include "guest.h"

static char record_bytes[1 << 18], input_bytes[1 << 16], credentials[256];

/** Without a libc there is no memcpy to make of the loop. */
__attribute__((no_builtin("memcpy"))) static text copy(char *to, size_t used, size_t most, text from) {
  for (size_t i = 0; i < from.length && used < most; i++) to[used++] = from.at[i];
  return (text){to, used};
}

static text read_all(handle body, char *to, size_t most) {
  incoming_body_stream(body, ret);
  handle from = word(4);
  text whole = {to, 0};
  for (;;) {
    size_t used = arena_used;
    input_blocking_read(from, 65536, ret);
    if (ret[0]) break;
    whole = copy(to, whole.length, most, text_at(4));
    arena_used = used;
  }
  input_drop(from);
  return whole;
}

static text configured(const char *key) {
  config_get(key, text_length(key), ret);
  return ret[0] == 0 && ret[4] == 1 ? text_at(8) : TEXT("");
}

/** What is between the quotes that follow. */
static text string_after(text whole, text name) {
  for (size_t i = 0; i + name.length < whole.length; i++) {
    text rest = {whole.at + i, whole.length - i};
    if (!starts_with(rest, name)) continue;
    text found = {rest.at + name.length, 0};
    while (found.at + found.length < whole.at + whole.length && found.at[found.length] != '"') found.length++;
    return found;
  }
  return TEXT("");
}

/** The response, or 0. */
static handle get(text path) {
  text scheme = copy(credentials, 0, sizeof credentials, TEXT("Bearer "));
  text bearer = copy(credentials, scheme.length, sizeof credentials, configured("TOKEN"));
  handle fields = fields_new();
  fields_append(fields, "authorization", 13, bearer.at, bearer.length, ret);
  handle request = outgoing_request_new(fields);
  text api = configured("api");
  outgoing_request_set_scheme(request, 1, 0, 0, 0);
  outgoing_request_set_authority(request, 1, api.at, api.length);
  outgoing_request_set_path(request, 1, path.at, path.length);
  outgoing_handle(request, 0, 0, ret);
  if (ret[0]) return 0;
  handle future = word(8), pollable = future_response_subscribe(future);
  pollable_block(pollable);
  pollable_drop(pollable);
  future_response_get(future, ret);
  return ret[0] == 1 && ret[8] == 0 && ret[16] == 0 ? word(24) : 0;
}

HANDLE(request, out) {
  arena_used = 0;
  request_consume(request, ret);
  text record = read_all(word(4), record_bytes, sizeof record_bytes);
  handle response = get(string_after(record, TEXT("\"href\":\"")));
  if (!response || incoming_response_status(response) != 200) return answer(out, 500, TEXT("cannot read the input"));
  incoming_response_consume(response, ret);
  text input = read_all(word(4), input_bytes, sizeof input_bytes);
  while (input.length && *input.at != ' ') input.at++, input.length--;
  if (input.length) input.at++, input.length--;
  reply r = begin(out, 200, TEXT("application/json"));
  put(r, TEXT("{\"verdict\":\"retry\",\"reason\":\"its first word cannot be borne\",\"input\":{\"text\":\""));
  put(r, input);
  put(r, TEXT("\"}}"));
  finish(r);
}
