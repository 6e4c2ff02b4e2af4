// Handles messages: adds to `done`, and to the payload's first word, in its bucket, then does what the word says: `fail` answers
// with an error, `trap` traps, `TOPIC!` sends the rest on to the topic before it ends, `loop!` itself. `show` logs the message.
#define ARENA_BYTES (2 << 20)
#include "guest.h"

#define TYPES "wasi:messaging/types@0.2.0-draft"
#define STORE "wasi:keyvalue/store@0.2.0-draft2"

IMPORT(STORE, "open") void store_open(const char *name, size_t length, void *ret);
IMPORT("wasi:keyvalue/atomics@0.2.0-draft2", "increment") void bucket_increment(handle bucket, const char *key, size_t length, int64_t delta, void *ret);
IMPORT(TYPES, "[static]client.connect") void client_connect(const char *name, size_t length, void *ret);
IMPORT(TYPES, "[constructor]message") handle message_new(const void *data, size_t length);
IMPORT(TYPES, "[method]message.topic") void message_topic(handle self, void *ret);
IMPORT(TYPES, "[method]message.content-type") void message_content_type(handle self, void *ret);
IMPORT(TYPES, "[method]message.set-content-type") int32_t message_set_content_type(handle self, const char *type, size_t length);
IMPORT(TYPES, "[method]message.data") void message_data(handle self, void *ret);
IMPORT(TYPES, "[method]message.metadata") void message_metadata(handle self, void *ret);
IMPORT(TYPES, "[method]message.add-metadata") void message_add_metadata(handle self, const char *key, size_t key_length, const char *value, size_t length, void *ret);
IMPORT(TYPES, "[resource-drop]message") void message_drop(handle self);
IMPORT(TYPES, "[resource-drop]client") void client_drop(handle self);
IMPORT("wasi:messaging/producer@0.2.0-draft", "send") void producer_send(handle client, const char *topic, size_t length, handle message, void *ret);

static _Alignas(4) uint8_t answer_area[16];

static void *ok(void) {
  answer_area[0] = 0;
  return answer_area;
}

static void *failed(text why) {
  answer_area[0] = 1;
  answer_area[4] = 3;
  *(const char **)(answer_area + 8) = why.at;
  *(size_t *)(answer_area + 12) = why.length;
  return answer_area;
}

static void count(text key) {
  store_open("", 0, ret);
  if (ret[0]) return;
  handle bucket = word(4);
  bucket_increment(bucket, "done", 4, 1, ret);
  bucket_increment(bucket, key.at, key.length, 1, ret);
}

static void print(text part) { output_blocking_write(cli_stdout(), part.at, part.length, ret); }

static void show(handle message) {
  message_topic(message, ret);
  if (ret[0]) print(text_at(4));
  print(TEXT(" "));
  message_content_type(message, ret);
  if (ret[0]) print(text_at(4));
  message_metadata(message, ret);
  if (!ret[0]) return;
  const text *pairs = *(text **)(ret + 4);
  size_t pair_count = word(8);
  for (size_t i = 0; i < pair_count; i++) {
    print(TEXT(" "));
    print(pairs[2 * i]);
    print(TEXT("="));
    print(pairs[2 * i + 1]);
  }
  print(TEXT("\n"));
}

/** 0 if the message was taken. */
static int forward(text topic, text rest) {
  client_connect("", 0, ret);
  if (ret[0]) return 1;
  handle client = word(4);
  handle message = message_new(rest.at, rest.length);
  message_set_content_type(message, "text/plain", 10);
  message_add_metadata(message, "subject", 7, topic.at, topic.length, ret);
  producer_send(client, topic.at, topic.length, message, ret);
  int refused = ret[0];
  client_drop(client);
  return refused;
}

EXPORT("wasi:messaging/incoming-handler@0.2.0-draft#handle") void *handle_message(handle message) {
  arena_used = 0;
  message_data(message, ret);
  text body = text_at(0), first = {body.at, 0};
  while (first.length < body.length && first.at[first.length] != ' ') first.length++;
  count(first.length ? first : TEXT("-"));
  if (starts_with(first, TEXT("show"))) show(message);
  message_drop(message);
  if (starts_with(first, TEXT("trap"))) __builtin_trap();
  if (starts_with(first, TEXT("fail"))) return failed(TEXT("as asked"));
  if (first.length && first.at[first.length - 1] == '!') {
    text topic = {first.at, first.length - 1};
    text rest = starts_with(topic, TEXT("loop")) ? body : (text){body.at + first.length + 1, body.length > first.length ? body.length - first.length - 1 : 0};
    if (forward(topic, rest)) return failed(TEXT("not sent"));
  }
  return ok();
}
