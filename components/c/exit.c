// Exits by wasi:cli/exit: `/ok` and `/err` before any response, `/late-ok` and `/late-err` after the whole of it,
// `/middle` in the middle of its body.
#include "guest.h"

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  request_drop(request);
  if (starts_with(path, TEXT("/ok"))) cli_exit(0);
  if (starts_with(path, TEXT("/err"))) cli_exit(1);
  if (starts_with(path, TEXT("/middle"))) {
    reply r = begin(out, 200, TEXT("text/plain"));
    put(r, TEXT("begun\n"));
    cli_exit(1);
  }
  answer(out, 200, TEXT("answered\n"));
  if (starts_with(path, TEXT("/late-ok"))) cli_exit(0);
  if (starts_with(path, TEXT("/late-err"))) cli_exit(1);
}
