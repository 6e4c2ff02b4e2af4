(module (memory 32)
  (func (export "run") (param $n i32) (result i32) (local $at i32)
    (loop $again
      (local.set $at (i32.const 0))
      (loop $byte
        (i32.store8 (local.get $at) (local.get $n))
        (br_if $byte (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (i32.const 1048576))))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.load8_u (i32.const 77))))
