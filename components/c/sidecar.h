// nacelle:sidecar as core functions, for sidecars without a libc.
#pragma once
#include "guest.h"

#define LIFECYCLE "nacelle:sidecar/lifecycle@0.1.0"
#define CONFIGURATION "nacelle:sidecar/configuration@0.1.0"
#define NEXT "nacelle:sidecar/next@0.1.0"

IMPORT("wasi:http/incoming-handler@" WASI_VERSION, "handle") void next_handle(handle request, handle out);
IMPORT(NEXT, "handle") void next_send(handle request, void *ret);
IMPORT(CONFIGURATION, "settings") void configuration_settings(void *ret);
IMPORT(CONFIGURATION, "record") void configuration_record(const char *key, size_t key_length, int32_t some, const char *value, size_t length);

IMPORT(HTTP, "[method]fields.entries") void fields_entries(handle self, void *ret);
IMPORT(HTTP, "[method]incoming-request.authority") void request_authority(handle self, void *ret);
IMPORT(HTTP, "[method]incoming-response.headers") handle incoming_response_headers(handle self);
IMPORT(HTTP, "[method]outgoing-request.set-method") int32_t outgoing_request_set_method(handle self, int32_t method, const char *other, size_t length);
IMPORT(HTTP, "[method]outgoing-request.body") void outgoing_request_body(handle self, void *ret);

typedef struct {
  text name;
  text value;
} pair;

typedef struct {
  text id;
  text function;
  uint32_t version;
  text method;
  text authority;
  text path;
} execution;

typedef struct {
  uint16_t status;
  uint64_t bytes_out;
  uint64_t cpu_us;
  uint64_t wall_us;
  uint64_t memory_bytes_peak;
  uint8_t memory_refused;
  struct {
    uint8_t some;
    text value;
  } code;
} metering;

typedef struct {
  execution execution;
  metering metering;
} ended;

/** What `configure`, `start` and `state-changing` answer with. */
typedef struct {
  uint8_t is_err;
  text message;
} outcome;

static outcome the_outcome;
static inline outcome *ok(void) {
  the_outcome.is_err = 0;
  return &the_outcome;
}
static inline outcome *refuse(text message) {
  the_outcome = (outcome){1, message};
  return &the_outcome;
}

static inline int same(text one, text other) { return one.length == other.length && starts_with(one, other); }

/** The setting `key` in what `configure` was given, or an empty text. */
static inline text setting(const pair *settings, size_t count, text key) {
  for (size_t i = 0; i < count; i++)
    if (same(settings[i].name, key)) return settings[i].value;
  return TEXT("");
}

#define ON_CONFIGURE(settings, count) EXPORT(LIFECYCLE "#configure") outcome *on_configure(const pair *settings, size_t count)
#define ON_START() EXPORT(LIFECYCLE "#start") outcome *on_start(void)
#define ON_READY() EXPORT(LIFECYCLE "#ready") int32_t on_ready(void)
#define ON_EXECUTION_STARTED(name)                                                                                                          \
  static void execution_has_started(execution name);                                                                                       \
  EXPORT(LIFECYCLE "#execution-started")                                                                                                    \
  void on_execution_started(const char *id, size_t id_length, const char *function, size_t function_length, uint32_t version,               \
                            const char *method, size_t method_length, const char *authority, size_t authority_length, const char *path,     \
                            size_t path_length) {                                                                                           \
    execution_has_started((execution){{id, id_length}, {function, function_length}, version, {method, method_length},                       \
                                      {authority, authority_length}, {path, path_length}});                                                 \
  }                                                                                                                                         \
  static void execution_has_started(execution name)
#define ON_EXECUTION_ENDED(what) EXPORT(LIFECYCLE "#execution-ended") void on_execution_ended(const ended *what)
#define ON_STATE_CHANGING(event) EXPORT(LIFECYCLE "#state-changing") outcome *on_state_changing(int32_t event)
#define ON_STOP() EXPORT(LIFECYCLE "#stop") void on_stop(void)
