// Provider of nacelle:shop/baskets that misbehaves: `items` gives its own resource away and traps, `merge` hands out a handle that it has dropped.
#include "../guest.h"

#define BASKETS "nacelle:shop/baskets@1.0.0"

IMPORT("[export]" BASKETS, "[resource-new]basket") handle basket_new(int32_t rep);
IMPORT("[export]" BASKETS, "[resource-drop]basket") void basket_drop(handle self);

EXPORT(BASKETS "#[constructor]basket") handle constructor(void) { return basket_new(1); }
EXPORT(BASKETS "#[method]basket.add") uint32_t add(int32_t rep, const char *at, size_t length) {
  (void)rep, (void)at, (void)length;
  arena_used = 0;
  return 1;
}
EXPORT(BASKETS "#[method]basket.items") void *items(int32_t rep) {
  (void)rep;
  __builtin_trap();
}
EXPORT(BASKETS "#[static]basket.merge") handle merge(handle one, handle other) {
  (void)one, (void)other;
  handle made = basket_new(2);
  basket_drop(made);
  return made;
}
EXPORT(BASKETS "#destroyed") uint32_t how_many_destroyed(void) { return 0; }
EXPORT(BASKETS "#[dtor]basket") void destroy(int32_t rep) { (void)rep; }
