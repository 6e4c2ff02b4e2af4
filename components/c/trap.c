// Traps in the way that its path names; `/late/…` does so when the response has begun. Any other path answers.
#include "guest.h"

typedef void (*no_arguments)(void);
typedef int (*one_argument)(int);

static int increment(int x) { return x + 1; }
static one_argument volatile function = increment;
static volatile int zero;
static volatile int many = 1000;

static volatile int depth;

/** Uses the engine's stack only, none of the guest's own in memory. */
static __attribute__((noinline)) int recurse(int x) {
  if (zero == 0) depth = recurse(x + 1);
  return depth + x;
}

static int trap_by(text path) {
  if (starts_with(path, TEXT("/unreachable"))) __builtin_trap();
  if (starts_with(path, TEXT("/out-of-bounds"))) return *(volatile int *)0xfffffff0;
  if (starts_with(path, TEXT("/divide-by-zero"))) return many / zero;
  if (starts_with(path, TEXT("/overflow"))) {
    volatile int least = INT32_MIN;
    return least / (zero - 1);
  }
  if (starts_with(path, TEXT("/float-to-int"))) {
    volatile double big = 1e300;
    int result;
    __asm__("local.get %1\n i32.trunc_f64_s\n local.set %0" : "=r"(result) : "r"(big));
    return result;
  }
  if (starts_with(path, TEXT("/stack-overflow"))) return recurse(0);
  if (starts_with(path, TEXT("/bad-handle"))) fields_drop(12345);
  if (starts_with(path, TEXT("/indirect-type"))) ((no_arguments)function)();
  if (starts_with(path, TEXT("/indirect-null"))) ((no_arguments)(uintptr_t)(zero))();
  if (starts_with(path, TEXT("/indirect-bounds"))) ((no_arguments)(uintptr_t)(zero + 1000000))();
  return 0;
}

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  request_drop(request);
  if (!starts_with(path, TEXT("/late"))) {
    zero = trap_by(path);
    return answer(out, 200, TEXT("no trap\n"));
  }
  reply r = begin(out, 200, TEXT("text/plain"));
  put(r, TEXT("begun\n"));
  zero = trap_by((text){path.at + 5, path.length - 5});
  finish(r);
}
