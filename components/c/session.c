// Counts in the values of its session: `/` reads the number, waits `hold=MS`, writes it plus one, and answers with it and the
// session's name; `/cart?n=N` adds N to `n` in the bucket `cart` that its manifest shares. Without a session it says so.
#include "guest.h"
#include "state.h"

static void answer_number(handle out, int64_t number) {
  static char digits[24];
  size_t length = decimal(number, digits);
  digits[length++] = '\n';
  answer(out, 200, (text){digits, length});
}

static int64_t number_in(handle bucket) {
  bucket_get(bucket, "n", 1, ret);
  if (ret[0] || !ret[4]) return 0;
  text digits = text_at(8);
  int64_t number = 0;
  for (size_t i = 0; i < digits.length; i++) number = number * 10 + (digits.at[i] - '0');
  return number;
}

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  request_drop(request);
  if (starts_with(path, TEXT("/cart"))) {
    shared_bucket("cart", 4, ret);
    if (ret[0]) return answer_error(out, 4);
    bucket_increment(word(4), "n", 1, query_number(path, TEXT("n"), 1), ret);
    return ret[0] ? answer(out, 500, TEXT("cannot count\n")) : answer_number(out, *(int64_t *)(ret + 8));
  }
  session_id(ret);
  if (!ret[0]) return answer(out, 400, TEXT("no session\n"));
  session_state(ret);
  if (ret[0]) return answer_error(out, 4);
  handle bucket = word(4);
  int64_t number = number_in(bucket) + 1, hold = query_number(path, TEXT("hold"), 0);
  if (hold) rest(hold);
  static char digits[24];
  size_t length = decimal(number, digits);
  bucket_set(bucket, "n", 1, digits, length, ret);
  if (ret[0]) return answer(out, 507, TEXT("cannot keep it\n"));
  answer_number(out, number);
}
