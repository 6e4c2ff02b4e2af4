// Writes to its log: all 256 byte values and half lines to stdout, a line to stderr, one record of each level by
// wasi:logging. `?bytes=N` then writes N bytes more to stdout, in lines of 100.
#include "guest.h"

static void print(handle stream, const void *bytes, size_t length) { output_blocking_write(stream, bytes, length, ret); }

static void print_all_bytes(handle stream) {
  uint8_t bytes[256];
  for (int i = 0; i < 256; i++) bytes[i] = i;
  print(stream, bytes, sizeof bytes);
}

static void print_lines(handle stream, int64_t count) {
  char line[100];
  for (int i = 0; i < 99; i++) line[i] = 'a' + i % 26;
  line[99] = '\n';
  for (; count > 0; count -= 100) print(stream, line, count < 100 ? count : 100);
}

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  handle stdout = cli_stdout(), stderr = cli_stderr();
  print(stdout, "half a ", 7);
  print(stdout, "line\nand a last one without an end", 34);
  print(stderr, "to stderr\n", 10);
  print_all_bytes(stdout);
  print_lines(stdout, query_number(path, TEXT("bytes"), 0));
  for (int level = 0; level < 6; level++) logging_log(level, "printer", 7, "caf\xc3\xa9 \"quoted\"\nsecond line", 26);
  output_drop(stdout);
  output_drop(stderr);
  request_drop(request);
  answer(out, 200, TEXT("printed\n"));
}
