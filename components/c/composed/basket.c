// Provider of nacelle:shop/baskets: a resource that keeps strings.
#include "../guest.h"

#define BASKETS "nacelle:shop/baskets@1.0.0"
#define ITEMS 8
#define ITEM_BYTES 32

IMPORT("[export]" BASKETS, "[resource-new]basket") handle basket_new(int32_t rep);

static struct {
  int32_t used;
  uint32_t count;
  text items[ITEMS];
  char bytes[ITEMS][ITEM_BYTES];
} baskets[4];

/** How many were destroyed; part of every new basket's list, so that a test sees destructors run. */
static uint32_t destroyed;

EXPORT(BASKETS "#[constructor]basket") handle constructor(void) {
  for (int32_t rep = 0; rep < 4; rep++) {
    if (baskets[rep].used) continue;
    baskets[rep].used = 1;
    baskets[rep].count = 0;
    return basket_new(rep + 1);
  }
  __builtin_trap();
}

EXPORT(BASKETS "#[method]basket.add") uint32_t add(int32_t rep, const char *at, size_t length) {
  uint32_t i = baskets[rep - 1].count;
  if (i == ITEMS || length > ITEM_BYTES) __builtin_trap();
  for (size_t k = 0; k < length; k++) baskets[rep - 1].bytes[i][k] = at[k];
  baskets[rep - 1].items[i] = (text){baskets[rep - 1].bytes[i], length};
  arena_used = 0;
  return ++baskets[rep - 1].count;
}

EXPORT(BASKETS "#[method]basket.items") void *items(int32_t rep) {
  static struct {
    const text *at;
    size_t length;
  } list;
  list.at = baskets[rep - 1].items;
  list.length = baskets[rep - 1].count;
  return &list;
}

EXPORT(BASKETS "#[static]basket.merge") handle merge(handle one, handle other) {
  baskets[one - 1].used = 0;
  for (uint32_t i = 0; i < baskets[other - 1].count; i++) add(one, baskets[other - 1].items[i].at, baskets[other - 1].items[i].length);
  baskets[one - 1].used = 1;
  baskets[other - 1].used = 0;
  return basket_new(one);
}

EXPORT(BASKETS "#destroyed") uint32_t how_many_destroyed(void) { return destroyed; }

EXPORT(BASKETS "#[dtor]basket") void destroy(int32_t rep) {
  baskets[rep - 1].used = 0;
  destroyed++;
}
