// The imports of nacelle:state that C components use, and how its errors are told.
#pragma once

#define SHARED "nacelle:state/shared@0.1.0"
#define SESSION "nacelle:state/session@0.1.0"
#define STORE "wasi:keyvalue/store@0.2.0-draft2"
#define ATOMICS "wasi:keyvalue/atomics@0.2.0-draft2"

IMPORT(SHARED, "[static]region.open") void region_open(const char *name, size_t length, void *ret);
IMPORT(SHARED, "[method]region.size") uint64_t region_size(handle self);
IMPORT(SHARED, "[method]region.read") void region_read(handle self, uint64_t offset, uint32_t length, void *ret);
IMPORT(SHARED, "[method]region.write") void region_write(handle self, uint64_t offset, const void *bytes, size_t length, void *ret);
IMPORT(SHARED, "[method]region.add") void region_add(handle self, uint64_t offset, int64_t delta, void *ret);
IMPORT(SHARED, "[method]region.compare-and-swap") void region_cas(handle self, uint64_t offset, int64_t expected, int64_t replacement, void *ret);
IMPORT(SHARED, "[method]region.flush") void region_flush(handle self, void *ret);
IMPORT(SHARED, "[static]lock.open") void lock_open(const char *name, size_t length, void *ret);
IMPORT(SHARED, "[method]lock.acquire") void lock_acquire(handle self, int32_t mode, int32_t some, uint32_t timeout_ms, void *ret);
IMPORT(SHARED, "[method]lock.release") void lock_release(handle self, void *ret);
IMPORT(SHARED, "open-bucket") void shared_bucket(const char *name, size_t length, void *ret);
IMPORT(SESSION, "id") void session_id(void *ret);
IMPORT(SESSION, "state") void session_state(void *ret);
IMPORT(STORE, "[method]bucket.get") void bucket_get(handle self, const char *key, size_t length, void *ret);
IMPORT(STORE, "[method]bucket.set") void bucket_set(handle self, const char *key, size_t length, const void *value, size_t value_length, void *ret);
IMPORT(ATOMICS, "increment") void bucket_increment(handle bucket, const char *key, size_t length, int64_t delta, void *ret);

static inline void rest(int64_t milliseconds) {
  handle pollable = clock_subscribe(milliseconds * 1000000);
  pollable_block(pollable);
  pollable_drop(pollable);
}

/** The number of the attempt, as `nacelle-attempt` tells it; 0 if it does not. */
static inline int64_t attempt_of(handle request) {
  handle headers = request_headers(request);
  fields_get(headers, "nacelle-attempt", 15, ret);
  const text *values = *(text **)ret;
  int64_t attempt = 0;
  for (size_t i = 0; word(4) && i < values[0].length; i++) attempt = attempt * 10 + values[0].at[i] - '0';
  fields_drop(headers);
  return attempt;
}

/** Answers with the error of nacelle:state at `ret + offset`. */
static inline void answer_error(handle out, size_t offset) {
  static const text names[] = {TEXT("not-attached\n"), TEXT("revoked\n"), TEXT("out-of-bounds\n"), TEXT("not-possible\n"), TEXT("timed-out\n"), TEXT("deadlock-victim\n")};
  answer(out, 409, ret[offset] < 6 ? names[ret[offset]] : text_at(offset + 4));
}
