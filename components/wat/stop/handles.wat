(module ;; makes resources without end and drops none
  (import "wasi:http/types@0.2.3" "[constructor]fields" (func $fields (result i32)))
  (memory (export "memory") 1)
  (func (export "wasi:http/incoming-handler@0.2.3#handle") (param i32 i32)
    (loop $forever
      (drop (call $fields))
      (br $forever))))
