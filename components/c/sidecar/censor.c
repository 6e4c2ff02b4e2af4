// Middleware over nacelle:sidecar/next: sends the request on, and turns every `x` of the response's body into `-` as it
// streams. With `/gone` it wants no response, with `/again` it sends a second time and answers with what comes of that.
#include "../sidecar.h"

static int32_t status;

static handle response_of(handle future) {
  handle ready = future_response_subscribe(future);
  pollable_block(ready);
  pollable_drop(ready);
  future_response_get(future, ret);
  return ret[0] == 1 && ret[8] == 0 && ret[16] == 0 ? word(24) : 0;
}

static handle request_for(text path) {
  handle request = outgoing_request_new(fields_new());
  outgoing_request_set_path(request, 1, path.at, path.length);
  return request;
}

static void copy_body(handle response, reply r) {
  incoming_response_consume(response, ret);
  handle body = word(4);
  incoming_body_stream(body, ret);
  handle stream = word(4);
  for (;;) {
    arena_used = 0;
    input_blocking_read(stream, 4096, ret);
    if (*ret) break;
    text part = text_at(4);
    for (size_t i = 0; i < part.length; i++)
      if (part.at[i] == 'x') ((char *)part.at)[i] = '-';
    put(r, part);
  }
  input_drop(stream);
  incoming_body_drop(body);
}

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  int gone = starts_with(path, TEXT("/gone")), again = starts_with(path, TEXT("/again"));
  next_send(request_for(path), ret);
  handle future = word(8);
  if (gone) {
    future_response_drop(future);
    request_drop(request);
    return answer(out, 200, TEXT("not wanted\n"));
  }
  if (again) {
    next_send(request_for(TEXT("/")), ret);
    text said = ret[0] ? TEXT("refused\n") : TEXT("sent\n");
    future_response_drop(future);
    request_drop(request);
    return answer(out, 200, said);
  }
  handle response = response_of(future);
  request_drop(request);
  if (!response) {
    future_response_drop(future);
    return answer(out, 502, TEXT("no response\n"));
  }
  status = incoming_response_status(response);
  reply r = begin(out, status, TEXT("text/plain"));
  copy_body(response, r);
  finish(r);
  incoming_response_drop(response);
  future_response_drop(future);
}
