// wasi:blobstore as core functions.
#pragma once
#include "guest.h"

#define BLOB_TYPES "wasi:blobstore/types@0.2.0-draft"
#define CONTAINER "wasi:blobstore/container@0.2.0-draft"
#define BLOBSTORE "wasi:blobstore/blobstore@0.2.0-draft"

IMPORT(BLOB_TYPES, "[static]outgoing-value.new-outgoing-value") handle outgoing_value_new(void);
IMPORT(BLOB_TYPES, "[method]outgoing-value.outgoing-value-write-body") void outgoing_value_body(handle self, void *ret);
IMPORT(BLOB_TYPES, "[static]outgoing-value.finish") void outgoing_value_finish(handle self, void *ret);
IMPORT(BLOB_TYPES, "[static]incoming-value.incoming-value-consume-async") void incoming_value_stream(handle self, void *ret);
IMPORT(BLOB_TYPES, "[static]incoming-value.incoming-value-consume-sync") void incoming_value_whole(handle self, void *ret);
IMPORT(CONTAINER, "[method]container.get-data") void container_get(handle self, const char *name, size_t length, uint64_t start, uint64_t end, void *ret);
IMPORT(CONTAINER, "[method]container.write-data") void container_write(handle self, const char *name, size_t length, handle value, void *ret);
IMPORT(CONTAINER, "[method]container.list-objects") void container_list(handle self, void *ret);
IMPORT(CONTAINER, "[method]container.delete-object") void container_delete(handle self, const char *name, size_t length, void *ret);
IMPORT(CONTAINER, "[method]container.object-info") void container_info(handle self, const char *name, size_t length, void *ret);
IMPORT(CONTAINER, "[method]container.clear") void container_clear(handle self, void *ret);
IMPORT(CONTAINER, "[method]stream-object-names.read-stream-object-names") void names_read(handle self, uint64_t count, void *ret);
IMPORT(CONTAINER, "[resource-drop]stream-object-names") void names_drop(handle self);
IMPORT(BLOBSTORE, "get-container") void blobstore_get(const char *name, size_t length, void *ret);
IMPORT(BLOBSTORE, "move-object") void blobstore_move(const char *from, size_t from_length, const char *name, size_t name_length, const char *to, size_t to_length, const char *other, size_t other_length, void *ret);

/** Moves a stream into another, piece by piece. */
static inline void pour(handle from, handle to) {
  for (;;) {
    output_splice(to, from, 65536, ret);
    if (*ret) break;
    if (*(uint64_t *)(ret + 8) > 0) continue;
    output_check_write(to, ret);
    int full = *ret == 0 && *(uint64_t *)(ret + 8) == 0;
    handle pollable = full ? output_subscribe(to) : input_subscribe(from);
    pollable_block(pollable);
    pollable_drop(pollable);
  }
  input_drop(from);
}
