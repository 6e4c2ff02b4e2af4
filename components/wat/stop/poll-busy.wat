(module ;; polls a timer that is always ready, without end: host calls in a loop
  (import "wasi:clocks/monotonic-clock@0.2.3" "subscribe-duration" (func $timer (param i64) (result i32)))
  (import "wasi:io/poll@0.2.3" "[method]pollable.block" (func $block (param i32)))
  (memory (export "memory") 1)
  (func (export "wasi:http/incoming-handler@0.2.3#handle") (param i32 i32)
    (local $pollable i32)
    (local.set $pollable (call $timer (i64.const 0)))
    (loop $forever
      (call $block (local.get $pollable))
      (br $forever))))
