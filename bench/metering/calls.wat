;; A loop over two levels of ordinary calls with a loop and branches in them, as compiled code has it.
(module
  (memory (export "memory") 2)
  (func $length (param $at i32) (result i32)
    (local $end i32)
    (local.set $end (local.get $at))
    (block $done
      (loop $scan
        (br_if $done (i32.eqz (i32.load8_u (local.get $end))))
        (local.set $end (i32.add (local.get $end) (i32.const 1)))
        (br $scan)))
    (i32.sub (local.get $end) (local.get $at)))
  (func $hash (param $at i32) (result i32)
    (local $left i32) (local $value i32)
    (local.set $left (call $length (local.get $at)))
    (if (i32.eqz (local.get $left)) (then (return (i32.const 0))))
    (loop $mix
      (local.set $value (i32.add (i32.mul (local.get $value) (i32.const 31)) (i32.load8_u (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $mix (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (local.get $value))
  (func (export "run") (param $rounds i32) (result i32)
    (local $sum i32)
    (memory.fill (i32.const 0) (i32.const 65) (i32.const 4096))
    (loop $again
      (i32.store8 offset=12 (i32.const 0) (i32.const 0))
      (local.set $sum (i32.add (local.get $sum) (call $hash (i32.and (local.get $rounds) (i32.const 7)))))
      (br_if $again (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
    (local.get $sum)))
