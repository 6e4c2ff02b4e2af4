// Answers every request with a line of text.
#include "guest.h"

HANDLE(request, out) {
  arena_used = 0;
  answer(out, 200, TEXT("Hello from nacelle!\n"));
  request_drop(request);
}
