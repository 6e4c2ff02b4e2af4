;; Sieve of Eratosthenes up to a million, over and over.
(module
  (memory (export "memory") 16)
  (func (export "run") (param $rounds i32) (result i32)
    (local $prime i32) (local $multiple i32) (local $count i32)
    (loop $again
      (memory.fill (i32.const 0) (i32.const 0) (i32.const 1000000))
      (local.set $prime (i32.const 2)) (local.set $count (i32.const 0))
      (loop $primes
        (if (i32.eqz (i32.load8_u (local.get $prime)))
          (then
            (local.set $count (i32.add (local.get $count) (i32.const 1)))
            (local.set $multiple (i32.shl (local.get $prime) (i32.const 1)))
            (block $marked
              (loop $mark
                (br_if $marked (i32.ge_u (local.get $multiple) (i32.const 1000000)))
                (i32.store8 (local.get $multiple) (i32.const 1))
                (local.set $multiple (i32.add (local.get $multiple) (local.get $prime)))
                (br $mark)))))
        (br_if $primes (i32.lt_u (local.tee $prime (i32.add (local.get $prime) (i32.const 1))) (i32.const 1000000))))
      (br_if $again (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
    (local.get $count)))
