// A function that keeps a basket from one execution to the next: `/keep` makes one, anything else adds to it and answers with how many it holds.
#include "../guest.h"

#define BASKETS "nacelle:shop/baskets@1.0.0"

IMPORT(BASKETS, "[constructor]basket") handle basket_new(void);
IMPORT(BASKETS, "[method]basket.add") uint32_t basket_add(handle self, const char *at, size_t length);

static handle kept;

HANDLE(request, out) {
  arena_used = 0;
  if (starts_with(path_of(request), TEXT("/keep"))) kept = basket_new();
  request_drop(request);
  char digits[20];
  size_t length = decimal(basket_add(kept, "apple", 5), digits);
  answer(out, 200, (text){digits, length});
}
