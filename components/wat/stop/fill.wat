(module ;; fills 16 MiB of memory again and again
  (memory (export "memory") 256)
  (func (export "wasi:http/incoming-handler@0.2.3#handle") (param i32 i32)
    (loop $forever
      (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x1000000))
      (br $forever))))
