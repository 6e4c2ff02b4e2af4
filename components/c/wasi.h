// WASI 0.2 as core functions: what the canonical ABI makes of the WIT, for components without a libc.
// A function with more than one flat result writes it to `ret`; there byte 0 says 0 = ok, 1 = err, and a handle stands at byte 4.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifndef WASI_VERSION
#define WASI_VERSION "0.2.3"
#endif

#define IMPORT(interface, name) __attribute__((import_module(interface), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))
#define HTTP "wasi:http/types@" WASI_VERSION
#define STREAMS "wasi:io/streams@" WASI_VERSION
#define POLL "wasi:io/poll@" WASI_VERSION
#define CLOCK "wasi:clocks/monotonic-clock@" WASI_VERSION

typedef int32_t handle;

IMPORT(HTTP, "[constructor]fields") handle fields_new(void);
IMPORT(HTTP, "[method]fields.append") void fields_append(handle self, const char *name, size_t name_length, const void *value, size_t value_length, void *ret);
IMPORT(HTTP, "[method]fields.get") void fields_get(handle self, const char *name, size_t name_length, void *ret);
IMPORT(HTTP, "[resource-drop]fields") void fields_drop(handle self);

IMPORT(HTTP, "[method]incoming-request.method") void request_method(handle self, void *ret);
IMPORT(HTTP, "[method]incoming-request.path-with-query") void request_path(handle self, void *ret);
IMPORT(HTTP, "[method]incoming-request.headers") handle request_headers(handle self);
IMPORT(HTTP, "[method]incoming-request.consume") void request_consume(handle self, void *ret);
IMPORT(HTTP, "[resource-drop]incoming-request") void request_drop(handle self);
IMPORT(HTTP, "[method]incoming-body.stream") void incoming_body_stream(handle self, void *ret);
IMPORT(HTTP, "[static]incoming-body.finish") handle incoming_body_finish(handle self);
IMPORT(HTTP, "[resource-drop]incoming-body") void incoming_body_drop(handle self);
IMPORT(HTTP, "[method]future-trailers.subscribe") handle trailers_subscribe(handle self);
IMPORT(HTTP, "[method]future-trailers.get") void trailers_get(handle self, void *ret);
IMPORT(HTTP, "[resource-drop]future-trailers") void trailers_drop(handle self);

IMPORT(HTTP, "[constructor]outgoing-response") handle response_new(handle headers);
IMPORT(HTTP, "[method]outgoing-response.set-status-code") int32_t response_set_status(handle self, int32_t status);
IMPORT(HTTP, "[method]outgoing-response.body") void response_body(handle self, void *ret);
IMPORT(HTTP, "[resource-drop]outgoing-response") void response_drop(handle self);
IMPORT(HTTP, "[static]response-outparam.set") void outparam_set(handle self, int32_t is_err, int32_t response, int32_t a, int64_t b, int32_t c, int32_t d, int32_t e, int32_t f);
IMPORT(HTTP, "[resource-drop]response-outparam") void outparam_drop(handle self);
IMPORT(HTTP, "[method]outgoing-body.write") void outgoing_body_write(handle self, void *ret);
IMPORT(HTTP, "[static]outgoing-body.finish") void outgoing_body_finish(handle self, int32_t has_trailers, handle trailers, void *ret);
IMPORT(HTTP, "[resource-drop]outgoing-body") void outgoing_body_drop(handle self);

IMPORT(HTTP, "[constructor]outgoing-request") handle outgoing_request_new(handle headers);
IMPORT(HTTP, "[method]outgoing-request.set-path-with-query") int32_t outgoing_request_set_path(handle self, int32_t some, const char *path, size_t length);
IMPORT(HTTP, "[method]outgoing-request.set-authority") int32_t outgoing_request_set_authority(handle self, int32_t some, const char *authority, size_t length);
IMPORT(HTTP, "[method]outgoing-request.set-scheme") int32_t outgoing_request_set_scheme(handle self, int32_t some, int32_t scheme, const char *other, size_t length);
IMPORT("wasi:http/outgoing-handler@" WASI_VERSION, "handle") void outgoing_handle(handle request, int32_t has_options, handle options, void *ret);
IMPORT(HTTP, "[method]future-incoming-response.subscribe") handle future_response_subscribe(handle self);
IMPORT(HTTP, "[method]future-incoming-response.get") void future_response_get(handle self, void *ret);
IMPORT(HTTP, "[resource-drop]future-incoming-response") void future_response_drop(handle self);
IMPORT(HTTP, "[method]incoming-response.status") int32_t incoming_response_status(handle self);
IMPORT(HTTP, "[method]incoming-response.consume") void incoming_response_consume(handle self, void *ret);
IMPORT(HTTP, "[resource-drop]incoming-response") void incoming_response_drop(handle self);

IMPORT(STREAMS, "[method]input-stream.read") void input_read(handle self, uint64_t length, void *ret);
IMPORT(STREAMS, "[method]input-stream.blocking-read") void input_blocking_read(handle self, uint64_t length, void *ret);
IMPORT(STREAMS, "[method]input-stream.subscribe") handle input_subscribe(handle self);
IMPORT(STREAMS, "[resource-drop]input-stream") void input_drop(handle self);
IMPORT(STREAMS, "[method]output-stream.check-write") void output_check_write(handle self, void *ret);
IMPORT(STREAMS, "[method]output-stream.write") void output_write(handle self, const void *bytes, size_t length, void *ret);
IMPORT(STREAMS, "[method]output-stream.flush") void output_flush(handle self, void *ret);
IMPORT(STREAMS, "[method]output-stream.blocking-flush") void output_blocking_flush(handle self, void *ret);
IMPORT(STREAMS, "[method]output-stream.blocking-write-and-flush") void output_blocking_write(handle self, const void *bytes, size_t length, void *ret);
IMPORT(STREAMS, "[method]output-stream.splice") void output_splice(handle self, handle source, uint64_t length, void *ret);
IMPORT(STREAMS, "[method]output-stream.subscribe") handle output_subscribe(handle self);
IMPORT(STREAMS, "[resource-drop]output-stream") void output_drop(handle self);

IMPORT(POLL, "[method]pollable.block") void pollable_block(handle self);
IMPORT(POLL, "poll") void poll_list(const handle *list, size_t length, void *ret);
IMPORT(POLL, "[resource-drop]pollable") void pollable_drop(handle self);
IMPORT(CLOCK, "now") int64_t clock_now(void);
IMPORT(CLOCK, "subscribe-duration") handle clock_subscribe(int64_t nanoseconds);

IMPORT("wasi:cli/exit@" WASI_VERSION, "exit") void cli_exit(int32_t is_err);
IMPORT("wasi:cli/stdout@" WASI_VERSION, "get-stdout") handle cli_stdout(void);
IMPORT("wasi:cli/stderr@" WASI_VERSION, "get-stderr") handle cli_stderr(void);
IMPORT("wasi:cli/environment@" WASI_VERSION, "get-environment") void cli_environment(void *ret);
IMPORT("wasi:random/random@" WASI_VERSION, "get-random-u64") int64_t random_u64(void);

IMPORT("wasi:config/store@0.2.0-rc.1", "get") void config_get(const char *key, size_t length, void *ret);
IMPORT("wasi:config/store@0.2.0-rc.1", "get-all") void config_all(void *ret);
IMPORT("wasi:logging/logging@0.1.0-draft", "log") void logging_log(int32_t level, const char *context, size_t context_length, const char *message, size_t length);
