// Locks of one letter, one after the other in the order of the path: `/ab`, `/ba`, `/a`; lower case exclusive, upper case shared. `hold=MS` waits between and after, `timeout=MS` bounds each wait, `trap=1` traps while it holds them, `spin=1` never ends,
// `bump=1` adds 1 to the first number of the region `board` by a read and a write. Answers `done`, or with the error.
#include "guest.h"
#include "state.h"

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  request_drop(request);
  int64_t hold = query_number(path, TEXT("hold"), 0), timeout = query_number(path, TEXT("timeout"), -1);
  for (size_t i = 1; i < path.length && path.at[i] != '?'; i++) {
    char letter = path.at[i];
    int exclusive = letter >= 'a';
    char name = exclusive ? letter : letter + 32;
    lock_open(&name, 1, ret);
    if (ret[0]) return answer_error(out, 4);
    lock_acquire(word(4), exclusive, timeout >= 0, timeout >= 0 ? timeout : 0, ret);
    if (ret[0]) return answer_error(out, 4);
    if (hold) rest(hold);
  }
  if (query_number(path, TEXT("bump"), 0)) {
    region_open("board", 5, ret);
    if (ret[0]) return answer_error(out, 4);
    handle region = word(4);
    region_read(region, 0, 8, ret);
    if (ret[0]) return answer_error(out, 4);
    int64_t next = *(int64_t *)text_at(4).at + 1;
    region_write(region, 0, &next, sizeof next, ret);
  }
  for (volatile int64_t spins = 0; query_number(path, TEXT("spin"), 0); spins++);
  if (query_number(path, TEXT("trap"), 0)) __builtin_trap();
  answer(out, 200, TEXT("done\n"));
}
