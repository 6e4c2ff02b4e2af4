// Drops parents before their children, which must trap, by path; `/all` drops in the wrong order as far as that is allowed,
// and hosts differ on `/request-headers`, where the child is a copy.
#include "guest.h"

static handle consume(handle request) {
  request_consume(request, ret);
  return word(4);
}

static handle open(handle body) {
  incoming_body_stream(body, ret);
  return word(4);
}

static void trap_by(handle request, handle out, text path) {
  if (starts_with(path, TEXT("/incoming-body"))) {
    handle body = consume(request);
    open(body);
    incoming_body_drop(body);
  } else if (starts_with(path, TEXT("/input-stream"))) {
    handle stream = open(consume(request));
    input_subscribe(stream);
    input_drop(stream);
  } else if (starts_with(path, TEXT("/finish-incoming"))) {
    handle body = consume(request);
    open(body);
    incoming_body_finish(body);
  } else if (starts_with(path, TEXT("/finish-outgoing"))) {
    reply r = begin(out, 200, TEXT("text/plain"));
    outgoing_body_finish(r.body, 0, 0, ret);
  } else if (starts_with(path, TEXT("/outgoing-body"))) {
    outgoing_body_drop(begin(out, 200, TEXT("text/plain")).body);
  } else if (starts_with(path, TEXT("/request-headers"))) {
    request_headers(request);
    request_drop(request);
  } else if (starts_with(path, TEXT("/double"))) {
    request_drop(request);
    request_drop(request);
  }
}

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  if (!starts_with(path, TEXT("/all"))) return trap_by(request, out, path);
  handle body = consume(request);
  request_drop(request);
  handle stream = open(body);
  reply r = begin(out, 200, TEXT("text/plain"));
  put(r, TEXT("in the wrong order\n"));
  finish(r);
  input_drop(stream);
  incoming_body_drop(body);
}
