;; A small function through a table in each round.
(module
  (type $step (func (param i32) (result i32)))
  (table funcref (elem $multiply $add $multiply $xor))
  (func $multiply (param i32) (result i32) (i32.mul (local.get 0) (i32.const 31)))
  (func $add (param i32) (result i32) (i32.add (local.get 0) (i32.const 78)))
  (func $xor (param i32) (result i32) (i32.xor (local.get 0) (i32.const 0x5555)))
  (func (export "run") (param $rounds i32) (result i32)
    (local $value i32)
    (loop $again
      (local.set $value (call_indirect (type $step) (local.get $value) (i32.and (local.get $rounds) (i32.const 3))))
      (br_if $again (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
    (local.get $value)))
