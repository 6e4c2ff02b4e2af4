// A handler that fills two baskets of another component, merges them, lists the result and drops it.
#include "../guest.h"

#define BASKETS "nacelle:shop/baskets@1.0.0"

IMPORT(BASKETS, "[constructor]basket") handle basket_new(void);
IMPORT(BASKETS, "[method]basket.add") uint32_t basket_add(handle self, const char *at, size_t length);
IMPORT(BASKETS, "[method]basket.items") void basket_items(handle self, void *ret);
IMPORT(BASKETS, "[static]basket.merge") handle basket_merge(handle one, handle other);
IMPORT(BASKETS, "[resource-drop]basket") void basket_drop(handle self);
IMPORT(BASKETS, "destroyed") uint32_t baskets_destroyed(void);

HANDLE(request, out) {
  arena_used = 0;
  request_drop(request);
  handle fruit = basket_new(), bread = basket_new();
  basket_add(fruit, "apple", 5);
  basket_add(fruit, "pear", 4);
  basket_add(bread, "roll", 4);
  handle all = basket_merge(fruit, bread);
  basket_items(all, ret);
  const text *items = *(text **)ret;
  size_t count = word(4);
  reply r = begin(out, 200, TEXT("text/plain"));
  for (size_t i = 0; i < count; i++) {
    put(r, items[i]);
    put(r, TEXT("\n"));
  }
  uint32_t before = baskets_destroyed();
  basket_drop(all);
  put(r, baskets_destroyed() == before + 1 ? TEXT("destroyed\n") : TEXT("kept\n"));
  finish(r);
}
