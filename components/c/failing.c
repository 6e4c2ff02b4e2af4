// Answers with a wasi:http error-code instead of a response: `?case=N` is the number of the case (internal-error, 38, if
// not given; its text is then "no luck today").
#include "guest.h"

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  request_drop(request);
  int32_t error = query_number(path, TEXT("case"), 38);
  text detail = TEXT("no luck today");
  if (error == 38) outparam_set(out, 1, error, 1, (uint32_t)detail.at, detail.length, 0, 0, 0);
  else outparam_set(out, 1, error, 0, 0, 0, 0, 0, 0);
}
