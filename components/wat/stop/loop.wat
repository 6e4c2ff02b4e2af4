(module ;; an endless loop with nothing in it
  (memory (export "memory") 1)
  (func $spin (loop $again (br $again)))
  (func (export "wasi:http/incoming-handler@0.2.3#handle") (param i32 i32)
    (call $spin)))
