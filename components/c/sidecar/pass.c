// Middleware: passes every request on as it is.
#include "../sidecar.h"

HANDLE(request, out) { next_handle(request, out); }
