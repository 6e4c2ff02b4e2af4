(module ;; an endless loop that writes to memory, so that no compiler may remove it
  (memory (export "memory") 1)
  (func (export "wasi:http/incoming-handler@0.2.3#handle") (param i32 i32)
    (local $i i32)
    (loop $again
      (i32.store (i32.and (local.get $i) (i32.const 0xfffc)) (local.get $i))
      (local.set $i (i32.add (local.get $i) (i32.const 4)))
      (br $again))))
