(module ;; asks for more memory without end, refused or not
  (memory (export "memory") 1)
  (func (export "wasi:http/incoming-handler@0.2.3#handle") (param i32 i32)
    (loop $forever
      (drop (memory.grow (i32.const 1)))
      (br $forever))))
