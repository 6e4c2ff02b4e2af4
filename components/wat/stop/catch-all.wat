(module ;; loops in a legacy try that catches everything, and starts again
  (memory (export "memory") 1)
  (func $spin (loop $again (br $again)))
  (func (export "wasi:http/incoming-handler@0.2.3#handle") (param i32 i32)
    (loop $forever
      (block ;; becomes a legacy try, and nop its catch_all (toolchain/wat.ts): the text format no longer has them
        (call $spin)
        (nop))
      (br $forever))))
