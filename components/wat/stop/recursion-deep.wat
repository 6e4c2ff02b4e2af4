(module ;; recursion without end: the engine's stack overflows
  (memory (export "memory") 1)
  (func $down (param i32) (result i32)
    (i32.add (call $down (i32.add (local.get 0) (i32.const 1))) (local.get 0)))
  (func (export "wasi:http/incoming-handler@0.2.3#handle") (param i32 i32)
    (drop (call $down (i32.const 0)))))
