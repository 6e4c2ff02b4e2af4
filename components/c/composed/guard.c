// Middleware: refuses `/private`, passes every other request to the handler that it imports.
#include "../guest.h"

IMPORT("wasi:http/incoming-handler@" WASI_VERSION, "handle") void next_handle(handle request, handle out);

HANDLE(request, out) {
  arena_used = 0;
  text path = path_of(request);
  if (!starts_with(path, TEXT("/private"))) return next_handle(request, out);
  request_drop(request);
  answer(out, 403, TEXT("refused by the guard\n"));
}
