// Moves an amount between two accounts of the bucket "": `/?from=1&to=2&amount=5&id=77`. Accounts begin with 1,000; each
// transfer also adds 1 to the key `transfer-ID`, and its answer says the attempt and both balances. `trap=N` traps after
// the writes up to attempt N, `status=S` answers with S, `wait=MS` waits before the writes, `fill=N` writes N more keys of
// 1 KiB, `pad=N` makes the answer N bytes longer.
#include "guest.h"

#define STORE "wasi:keyvalue/store@0.2.0-draft2"
#define ATOMICS "wasi:keyvalue/atomics@0.2.0-draft2"

IMPORT(STORE, "open") void store_open(const char *name, size_t length, void *ret);
IMPORT(STORE, "[method]bucket.get") void bucket_get(handle self, const char *key, size_t length, void *ret);
IMPORT(STORE, "[method]bucket.set") void bucket_set(handle self, const char *key, size_t length, const void *value, size_t value_length, void *ret);
IMPORT(ATOMICS, "increment") void bucket_increment(handle bucket, const char *key, size_t length, int64_t delta, void *ret);

static char name[64];
static char kib[1024];

/** The name of a key in `name`: a prefix and a number. */
static text key_of(text prefix, int64_t number) {
  for (size_t i = 0; i < prefix.length; i++) name[i] = prefix.at[i];
  return (text){name, prefix.length + decimal(number, name + prefix.length)};
}

static int64_t number_in(text digits) {
  int64_t number = 0;
  for (size_t i = 0; i < digits.length && digits.at[i] >= '0' && digits.at[i] <= '9'; i++) number = number * 10 + (digits.at[i] - '0');
  return number;
}

static int64_t balance_of(handle bucket, int64_t account) {
  text key = key_of(TEXT("account-"), account);
  bucket_get(bucket, key.at, key.length, ret);
  if (ret[0]) __builtin_trap();
  return ret[4] ? number_in(text_at(8)) : 1000;
}

static void set_balance(handle bucket, int64_t account, int64_t balance) {
  char digits[20];
  size_t length = decimal(balance, digits);
  text key = key_of(TEXT("account-"), account);
  bucket_set(bucket, key.at, key.length, digits, length, ret);
  if (ret[0]) __builtin_trap();
}

static int64_t attempt_of(handle request) {
  handle headers = request_headers(request);
  fields_get(headers, "nacelle-attempt", 15, ret);
  const text *values = *(text **)ret;
  int64_t attempt = word(4) ? number_in(values[0]) : 0;
  fields_drop(headers);
  return attempt;
}

static void wait_for(int64_t ms) {
  if (!ms) return;
  handle pollable = clock_subscribe(ms * 1000000);
  pollable_block(pollable);
  pollable_drop(pollable);
}

static void fill(handle bucket, int64_t keys) {
  for (int64_t i = 0; i < keys; i++) {
    text key = key_of(TEXT("filler-"), i);
    bucket_set(bucket, key.at, key.length, kib, sizeof kib, ret);
    if (ret[0]) __builtin_trap();
  }
}

static void put_number(reply r, uint64_t number) {
  char digits[20];
  put(r, (text){digits, decimal(number, digits)});
  put(r, TEXT(" "));
}

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  int64_t attempt = attempt_of(request);
  request_drop(request);
  int64_t from = query_number(path, TEXT("from"), 0), to = query_number(path, TEXT("to"), 1), amount = query_number(path, TEXT("amount"), 1);
  store_open("", 0, ret);
  if (ret[0]) return answer(out, 403, TEXT("the bucket is not granted"));
  handle bucket = word(4);
  int64_t left = balance_of(bucket, from) - amount, right = balance_of(bucket, to) + amount;
  wait_for(query_number(path, TEXT("wait"), 0));
  set_balance(bucket, from, left);
  set_balance(bucket, to, right);
  text id = key_of(TEXT("transfer-"), query_number(path, TEXT("id"), 0));
  bucket_increment(bucket, id.at, id.length, 1, ret);
  fill(bucket, query_number(path, TEXT("fill"), 0));
  if (attempt <= query_number(path, TEXT("trap"), -1)) __builtin_trap();
  reply r = begin(out, query_number(path, TEXT("status"), 200), TEXT("text/plain"));
  put_number(r, attempt);
  put_number(r, left);
  put_number(r, right);
  for (int64_t pad = query_number(path, TEXT("pad"), 0); pad > 0; pad -= sizeof kib) put(r, (text){kib, pad < (int64_t)sizeof kib ? pad : sizeof kib});
  finish(r);
}
