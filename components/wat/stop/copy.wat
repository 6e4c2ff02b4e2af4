(module ;; copies 8 MiB of memory in a straight line of calls, without a loop of its own: 2^40 copies
  (memory (export "memory") 256)
  (func $copies (param $depth i32)
    (if (local.get $depth)
      (then
        (call $copies (i32.sub (local.get $depth) (i32.const 1)))
        (call $copies (i32.sub (local.get $depth) (i32.const 1))))
      (else (memory.copy (i32.const 0) (i32.const 0x800000) (i32.const 0x800000)))))
  (func (export "wasi:http/incoming-handler@0.2.3#handle") (param i32 i32)
    (call $copies (i32.const 40))))
