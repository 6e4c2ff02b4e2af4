(module ;; loops in its start function, so that it is never instantiated
  (memory (export "memory") 1)
  (func $spin (loop $again (br $again)))
  (start $spin)
  (func (export "wasi:http/incoming-handler@0.2.3#handle") (param i32 i32)))
