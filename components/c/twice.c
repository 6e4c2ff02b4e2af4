// Sets the response twice. The second time the outparam's handle is gone, so the guest traps; the first response stands.
#include "guest.h"

HANDLE(request, out) {
  arena_used = 0;
  request_drop(request);
  answer(out, 200, TEXT("first\n"));
  answer(out, 201, TEXT("second\n"));
}
