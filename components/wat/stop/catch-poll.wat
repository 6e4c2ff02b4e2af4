(module ;; waits for ever in a try_table that catches everything, and waits again
  (import "wasi:clocks/monotonic-clock@0.2.3" "subscribe-duration" (func $timer (param i64) (result i32)))
  (import "wasi:io/poll@0.2.3" "[method]pollable.block" (func $block (param i32)))
  (memory (export "memory") 1)
  (func (export "wasi:http/incoming-handler@0.2.3#handle") (param i32 i32)
    (local $pollable i32)
    (local.set $pollable (call $timer (i64.const 3600000000000)))
    (loop $forever
      (block $caught
        (try_table (catch_all $caught) (call $block (local.get $pollable))))
      (br $forever))))
