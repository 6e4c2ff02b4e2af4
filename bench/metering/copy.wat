;; Fills and copies whose length is not known before: 0 to 255 bytes.
(module
  (memory (export "memory") 4)
  (func (export "run") (param $rounds i32) (result i32)
    (local $at i32)
    (loop $again
      (local.set $at (i32.and (i32.mul (local.get $rounds) (i32.const 97)) (i32.const 0xffff)))
      (memory.fill (local.get $at) (local.get $rounds) (i32.and (local.get $rounds) (i32.const 255)))
      (memory.copy (i32.const 0x20000) (local.get $at) (i32.and (local.get $rounds) (i32.const 127)))
      (br_if $again (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
    (i32.load (i32.const 0x20000))))
