(module ;; recursion that is never deep and never ends: two calls a level, 60 levels, so 2^60 calls
  (memory (export "memory") 1)
  (func $tree (param $depth i32) (result i32)
    (if (result i32) (local.get $depth)
      (then (i32.add
        (call $tree (i32.sub (local.get $depth) (i32.const 1)))
        (call $tree (i32.sub (local.get $depth) (i32.const 1)))))
      (else (i32.const 1))))
  (func (export "wasi:http/incoming-handler@0.2.3#handle") (param i32 i32)
    (drop (call $tree (i32.const 60)))))
