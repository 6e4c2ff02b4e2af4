;; A fill and a copy of 8 MiB in each round.
(module
  (memory (export "memory") 256)
  (func (export "run") (param $rounds i32) (result i32)
    (loop $again
      (memory.fill (i32.const 0) (local.get $rounds) (i32.const 0x800000))
      (memory.copy (i32.const 0x800000) (i32.const 0) (i32.const 0x800000))
      (br_if $again (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
    (i32.load (i32.const 0x800000))))
