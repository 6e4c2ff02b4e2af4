// Token policy: a middleware that lets only requests with a bearer token pass. Settings: `tokens`, separated by commas;
// `open`, path prefixes that need no token, separated by commas; `realm`, shown to clients. The header stays in the request.
#include "../components/c/sidecar.h"

/** Compares in a time that depends only on the length of `given`. */
static int equal(text known, text given) {
  uint32_t different = known.length ^ given.length;
  for (size_t i = 0; i < given.length; i++) different |= (uint8_t)given.at[i] ^ (uint8_t)(known.length ? known.at[i % known.length] : 0);
  return different == 0;
}

/** Cuts the next item off a list with commas, without blanks around it. */
static text next_item(text *list) {
  size_t end = 0;
  while (end < list->length && list->at[end] != ',') end++;
  text item = {list->at, end};
  size_t skip = end < list->length ? end + 1 : end;
  *list = (text){list->at + skip, list->length - skip};
  while (item.length && item.at[0] == ' ') item = (text){item.at + 1, item.length - 1};
  while (item.length && item.at[item.length - 1] == ' ') item.length--;
  return item;
}

static int is_open(text path, text prefixes) {
  while (prefixes.length) {
    text prefix = next_item(&prefixes);
    if (prefix.length && starts_with(path, prefix)) return 1;
  }
  return 0;
}

static text bearer_of(handle request) {
  handle headers = request_headers(request);
  fields_get(headers, "authorization", 13, ret);
  text *values = *(text **)ret;
  size_t count = word(4);
  fields_drop(headers);
  if (count != 1 || values[0].length < 7) return TEXT("");
  const char *scheme = "bearer ";
  for (size_t i = 0; i < 7; i++)
    if ((values[0].at[i] | 32) != (scheme[i] | 32)) return TEXT("");
  return (text){values[0].at + 7, values[0].length - 7};
}

static int knows(text tokens, text given) {
  int known = 0;
  while (tokens.length) {
    text token = next_item(&tokens);
    if (token.length) known |= equal(token, given);
  }
  return known && given.length > 0;
}

static void refuse_request(handle out, text realm) {
  static char challenge[160] = "Bearer realm=\"";
  size_t n = 14;
  for (size_t i = 0; i < realm.length && n < sizeof challenge - 1; i++)
    if (realm.at[i] >= ' ' && realm.at[i] != '"' && realm.at[i] != '\\') challenge[n++] = realm.at[i];
  challenge[n++] = '"';
  handle fields = fields_new();
  fields_append(fields, "content-type", 12, "text/plain", 10, ret);
  fields_append(fields, "www-authenticate", 16, challenge, n, ret);
  handle response = response_new(fields);
  response_set_status(response, 401);
  response_body(response, ret);
  handle body = word(4);
  outgoing_body_write(body, ret);
  handle stream = word(4);
  outparam_set(out, 0, response, 0, 0, 0, 0, 0, 0);
  reply r = {body, stream};
  put(r, TEXT("a valid bearer token is needed\n"));
  finish(r);
}

HANDLE(request, out) {
  arena_used = 0;
  configuration_settings(ret);
  const pair *settings = *(pair **)ret;
  size_t count = word(4);
  text path = path_of(request);
  if (is_open(path, setting(settings, count, TEXT("open"))) || knows(setting(settings, count, TEXT("tokens")), bearer_of(request))) {
    next_handle(request, out);
    return;
  }
  request_drop(request);
  text realm = setting(settings, count, TEXT("realm"));
  refuse_request(out, realm.length ? realm : TEXT("nacelle"));
}
