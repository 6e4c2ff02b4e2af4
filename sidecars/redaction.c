// Redaction: a middleware that replaces words in the bodies of responses as they stream. Settings: `words`, separated by
// commas; `with`, what stands for each (default `***`). Bodies that are compressed are passed on as they are.
#include "../components/c/sidecar.h"

#define WORDS 32
#define HELD 8192

typedef struct {
  text name;
  text value;
} header;

static text words[WORDS];
static size_t word_count, longest;
static text replacement;
static char settings_copy[4096], held[HELD], out_bytes[HELD * 2];
static size_t held_length, out_length;
static int copied_as_is;

static void load_words(void) {
  configuration_settings(ret);
  const pair *settings = *(pair **)ret;
  size_t count = word(4);
  text list = setting(settings, count, TEXT("words")), with = setting(settings, count, TEXT("with"));
  size_t n = 0;
  for (size_t i = 0; i < list.length && n < 3072; i++) settings_copy[n++] = list.at[i];
  word_count = longest = 0;
  for (size_t start = 0, i = 0; i <= n && word_count < WORDS; i++) {
    if (i < n && settings_copy[i] != ',') continue;
    if (i > start) {
      words[word_count++] = (text){settings_copy + start, i - start};
      if (i - start > longest) longest = i - start;
    }
    start = i + 1;
  }
  size_t at = n;
  for (size_t i = 0; i < with.length && n < sizeof settings_copy; i++) settings_copy[n++] = with.at[i];
  replacement = with.length ? (text){settings_copy + at, n - at} : TEXT("***");
}

static void flush(handle stream) {
  for (size_t at = 0; at < out_length;) {
    size_t n = out_length - at < 4096 ? out_length - at : 4096;
    output_blocking_write(stream, out_bytes + at, n, ret);
    if (*ret) break;
    at += n;
  }
  out_length = 0;
}

static void emit(handle stream, text part) {
  for (size_t i = 0; i < part.length; i++) {
    if (out_length == sizeof out_bytes) flush(stream);
    out_bytes[out_length++] = part.at[i];
  }
}

static const text *word_at(size_t at) {
  for (size_t i = 0; i < word_count; i++)
    if (starts_with((text){held + at, held_length - at}, words[i])) return &words[i];
  return 0;
}

/** Gives out what is held, but for an end that a word could begin in; with `last` everything. */
static void give_out(handle stream, int last) {
  size_t at = 0;
  while (at < held_length) {
    const text *found = word_at(at);
    if (!found && !last && held_length - at < longest) break;
    emit(stream, found ? replacement : (text){held + at, 1});
    at += found ? found->length : 1;
  }
  for (size_t i = at; i < held_length; i++) held[i - at] = held[i];
  held_length -= at;
  flush(stream);
}

static void take(handle stream, text part) {
  if (copied_as_is) {
    emit(stream, part);
    flush(stream);
    return;
  }
  for (size_t i = 0; i < part.length; i++) {
    if (held_length == HELD) give_out(stream, 0);
    held[held_length++] = part.at[i];
  }
  give_out(stream, 0);
}

static handle copy_fields(handle from, int response) {
  handle to = fields_new();
  fields_entries(from, ret);
  const header *entries = *(header **)ret;
  size_t count = word(4);
  for (size_t i = 0; i < count; i++) {
    if (response && same(entries[i].name, TEXT("content-encoding")) && !same(entries[i].value, TEXT("identity"))) copied_as_is = 1;
  }
  for (size_t i = 0; i < count; i++) {
    if (response && !copied_as_is && same(entries[i].name, TEXT("content-length"))) continue;
    fields_append(to, entries[i].name.at, entries[i].name.length, entries[i].value.at, entries[i].value.length, ret);
  }
  fields_drop(from);
  return to;
}

static handle request_like(handle request) {
  handle made = outgoing_request_new(copy_fields(request_headers(request), 0));
  request_method(request, ret);
  text other = ret[0] == 9 ? text_at(4) : TEXT("");
  outgoing_request_set_method(made, ret[0], other.at, other.length);
  text path = path_of(request);
  outgoing_request_set_path(made, 1, path.at, path.length);
  request_authority(request, ret);
  if (*ret) {
    text authority = text_at(4);
    outgoing_request_set_authority(made, 1, authority.at, authority.length);
  }
  return made;
}

typedef struct {
  handle from_body, from, to_body, to;
} upload;

static void end_upload(upload *u) {
  input_drop(u->from);
  incoming_body_drop(u->from_body);
  output_drop(u->to);
  outgoing_body_finish(u->to_body, 0, 0, ret);
  u->from = 0;
}

/** Moves what is there of the request's body. */
static int move(upload *u) {
  if (!u->from) return 0;
  output_splice(u->to, u->from, 65536, ret);
  if (*ret == 0) return *(uint64_t *)(ret + 8) > 0;
  end_upload(u);
  return 1;
}

static void wait_for(const upload *u, handle other) {
  handle list[3];
  size_t n = 0;
  list[n++] = other;
  if (u->from) {
    output_check_write(u->to, ret);
    int full = *ret == 0 && *(uint64_t *)(ret + 8) == 0;
    list[n++] = full ? output_subscribe(u->to) : input_subscribe(u->from);
  }
  poll_list(list, n, ret);
  for (size_t i = 0; i < n; i++) pollable_drop(list[i]);
  arena_used = 0;
}

static handle response_of(handle future, upload *u) {
  for (;;) {
    future_response_get(future, ret);
    if (ret[0] == 1) return ret[8] == 0 && ret[16] == 0 ? word(24) : 0;
    if (!move(u)) wait_for(u, future_response_subscribe(future));
  }
}

static void pass_body(handle response, reply r, upload *u) {
  incoming_response_consume(response, ret);
  handle body = word(4);
  incoming_body_stream(body, ret);
  handle stream = word(4);
  for (;;) {
    arena_used = 0;
    input_read(stream, 4096, ret);
    if (*ret) break;
    text part = text_at(4);
    if (part.length) take(r.stream, part);
    else if (!move(u)) wait_for(u, input_subscribe(stream));
  }
  give_out(r.stream, 1);
  input_drop(stream);
  incoming_body_drop(body);
}

static reply begin_like(handle response, handle out) {
  int32_t status = incoming_response_status(response);
  handle made = response_new(copy_fields(incoming_response_headers(response), 1));
  response_set_status(made, status);
  response_body(made, ret);
  handle body = word(4);
  outgoing_body_write(body, ret);
  handle stream = word(4);
  outparam_set(out, 0, made, 0, 0, 0, 0, 0, 0);
  return (reply){body, stream};
}

HANDLE(request, out) {
  arena_used = held_length = out_length = 0;
  copied_as_is = 0;
  load_words();
  arena_used = 0;
  handle made = request_like(request);
  upload u = {0, 0, 0, 0};
  outgoing_request_body(made, ret);
  u.to_body = word(4);
  outgoing_body_write(u.to_body, ret);
  u.to = word(4);
  request_consume(request, ret);
  u.from_body = word(4);
  incoming_body_stream(u.from_body, ret);
  u.from = word(4);
  next_send(made, ret);
  if (ret[0]) __builtin_trap();
  handle future = word(8);
  arena_used = 0;
  handle response = response_of(future, &u);
  if (!response) return answer(out, 502, TEXT("the function did not answer\n"));
  reply r = begin_like(response, out);
  pass_body(response, r, &u);
  finish(r);
}
