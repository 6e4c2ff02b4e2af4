(module ;; loops in a try_table that catches everything, and starts again
  (memory (export "memory") 1)
  (func $spin (loop $again (br $again)))
  (func (export "wasi:http/incoming-handler@0.2.3#handle") (param i32 i32)
    (loop $forever
      (block $caught
        (try_table (catch_all $caught) (call $spin)))
      (br $forever))))
