;; Product of two 200 × 200 matrices of doubles.
(module
  (memory (export "memory") 64)
  (func (export "run") (param $rounds i32) (result i32)
    (local $i i32) (local $j i32) (local $k i32) (local $left i32) (local $right i32) (local $sum f64)
    (loop $again
      (local.set $i (i32.const 0))
      (loop $rows
        (local.set $j (i32.const 0))
        (loop $columns
          (local.set $sum (f64.const 0)) (local.set $k (i32.const 200))
          (local.set $left (i32.mul (local.get $i) (i32.const 1600)))
          (local.set $right (i32.mul (local.get $j) (i32.const 8)))
          (loop $products
            (local.set $sum (f64.add (local.get $sum) (f64.mul (f64.load (local.get $left)) (f64.load offset=1000000 (local.get $right)))))
            (local.set $left (i32.add (local.get $left) (i32.const 8)))
            (local.set $right (i32.add (local.get $right) (i32.const 1600)))
            (br_if $products (local.tee $k (i32.sub (local.get $k) (i32.const 1)))))
          (f64.store offset=2000000 (i32.mul (i32.add (i32.mul (local.get $i) (i32.const 200)) (local.get $j)) (i32.const 8)) (local.get $sum))
          (br_if $columns (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 1))) (i32.const 200))))
        (br_if $rows (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 200))))
      (br_if $again (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
    (i32.load offset=2000000 (i32.const 0))))
