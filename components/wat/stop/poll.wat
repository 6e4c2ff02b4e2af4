(module ;; suspended for ever in poll, on a timer of an hour and one of 584 years
  (import "wasi:clocks/monotonic-clock@0.2.3" "subscribe-duration" (func $timer (param i64) (result i32)))
  (import "wasi:io/poll@0.2.3" "poll" (func $poll (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
  (func (export "wasi:http/incoming-handler@0.2.3#handle") (param i32 i32)
    (i32.store (i32.const 0) (call $timer (i64.const 3600000000000)))
    (i32.store (i32.const 4) (call $timer (i64.const -1)))
    (call $poll (i32.const 0) (i32.const 2) (i32.const 64))))
