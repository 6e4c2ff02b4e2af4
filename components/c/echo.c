// Streams the request's body into the response by splice, then sends the request's trailers back, or one of its own.
#include "guest.h"

static void copy_content_type(handle request, handle fields) {
  handle headers = request_headers(request);
  fields_get(headers, "content-type", 12, ret);
  text *values = *(text **)ret;
  if (word(4) > 0) fields_append(fields, "content-type", 12, values[0].at, values[0].length, ret);
  fields_drop(headers);
}

static void wait_for(handle pollable) {
  pollable_block(pollable);
  pollable_drop(pollable);
}

/** Moves what is there; returns 0 at the end of the source. */
static int move(handle from, handle to) {
  output_splice(to, from, 65536, ret);
  if (*ret) {
    if (*(ret + 8) == 0) __builtin_trap();
    return 0;
  }
  if (*(uint64_t *)(ret + 8) > 0) return 1;
  output_check_write(to, ret);
  int full = *ret == 0 && *(uint64_t *)(ret + 8) == 0;
  wait_for(full ? output_subscribe(to) : input_subscribe(from));
  return 1;
}

/** The trailers that came after the body, or 0. They are a child of the future, which must outlive them. */
static handle trailers_of(handle future) {
  wait_for(trailers_subscribe(future));
  trailers_get(future, ret);
  int some = ret[0] == 1 && ret[8] == 0 && ret[16] == 0 && ret[24] == 1;
  return some ? word(28) : 0;
}

HANDLE(request, out) {
  arena_used = 0;
  handle fields = fields_new();
  copy_content_type(request, fields);
  handle response = response_new(fields);
  response_body(response, ret);
  handle body = word(4);
  outgoing_body_write(body, ret);
  handle to = word(4);
  request_consume(request, ret);
  handle incoming = word(4);
  incoming_body_stream(incoming, ret);
  handle from = word(4);
  outparam_set(out, 0, response, 0, 0, 0, 0, 0, 0);
  while (move(from, to)) continue;
  input_drop(from);
  handle future = incoming_body_finish(incoming);
  handle trailers = trailers_of(future);
  if (!trailers) {
    trailers = fields_new();
    fields_append(trailers, "x-echo", 6, "done", 4, ret);
  }
  output_blocking_flush(to, ret);
  output_drop(to);
  outgoing_body_finish(body, 1, trailers, ret);
  trailers_drop(future);
  request_drop(request);
}
