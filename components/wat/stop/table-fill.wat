(module ;; fills and copies a table again and again
  (memory (export "memory") 1)
  (table $t 100000 funcref)
  (func (export "wasi:http/incoming-handler@0.2.3#handle") (param i32 i32)
    (loop $forever
      (table.fill $t (i32.const 0) (ref.null func) (i32.const 100000))
      (table.copy $t $t (i32.const 0) (i32.const 50000) (i32.const 50000))
      (br $forever))))
