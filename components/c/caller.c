// Calls another service and passes its answer on. Where to: `/http://host:port/path`, or the configuration key `url`.
#include "guest.h"

typedef struct {
  int32_t scheme;
  text authority;
  text path;
} url;

static url parse(text whole) {
  int32_t tls = starts_with(whole, TEXT("https://"));
  size_t skip = tls ? 8 : 7, end;
  if (!tls && !starts_with(whole, TEXT("http://"))) return (url){0, TEXT(""), TEXT("/")};
  for (end = skip; end < whole.length && whole.at[end] != '/' && whole.at[end] != '?'; end++) continue;
  text path = {whole.at + end, whole.length - end};
  return (url){tls, {whole.at + skip, end - skip}, path.length ? path : TEXT("/")};
}

static text configured(void) {
  config_get("url", 3, ret);
  return ret[0] == 0 && ret[4] == 1 ? text_at(8) : TEXT("");
}

static handle send(url to) {
  handle request = outgoing_request_new(fields_new());
  outgoing_request_set_scheme(request, 1, to.scheme, 0, 0);
  outgoing_request_set_authority(request, 1, to.authority.at, to.authority.length);
  outgoing_request_set_path(request, 1, to.path.at, to.path.length);
  outgoing_handle(request, 0, 0, ret);
  return *ret ? 0 : word(8);
}

/** The response, or 0 with the case of its error-code in `error`. */
static handle await_response(handle future, int32_t *error) {
  handle pollable = future_response_subscribe(future);
  pollable_block(pollable);
  pollable_drop(pollable);
  future_response_get(future, ret);
  int ok = ret[0] == 1 && ret[8] == 0 && ret[16] == 0;
  handle response = ok ? word(24) : 0;
  *error = ok ? 0 : ret[24];
  future_response_drop(future);
  return response;
}

static void refuse(handle out, text what, int32_t error) {
  char digits[20];
  reply r = begin(out, 502, TEXT("text/plain"));
  put(r, what);
  put(r, (text){digits, decimal(error, digits)});
  put(r, TEXT("\n"));
  finish(r);
}

static void pass_on(handle out, handle response) {
  incoming_response_consume(response, ret);
  handle body = word(4);
  incoming_body_stream(body, ret);
  handle from = word(4);
  reply r = begin(out, incoming_response_status(response), TEXT("text/plain"));
  for (;;) {
    arena_used = 0;
    input_blocking_read(from, 4096, ret);
    if (*ret) break;
    put(r, text_at(4));
  }
  input_drop(from);
  incoming_body_drop(body);
  incoming_response_drop(response);
  finish(r);
}

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  url to = parse(path.length > 1 ? (text){path.at + 1, path.length - 1} : configured());
  request_drop(request);
  if (!to.authority.length) return answer(out, 400, TEXT("no URL: call /http://host:port/path, or set the configuration key url\n"));
  handle future = send(to);
  if (!future) return refuse(out, TEXT("refused: error-code "), ret[8]);
  int32_t error;
  handle response = await_response(future, &error);
  if (!response) return refuse(out, TEXT("failed: error-code "), error);
  pass_on(out, response);
}
