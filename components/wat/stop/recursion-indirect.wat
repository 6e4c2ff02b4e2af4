(module ;; mutual recursion through a table: 2^60 calls
  (memory (export "memory") 1)
  (type $step (func (param i32) (result i32)))
  (table funcref (elem $left $right))
  (func $both (param $depth i32) (param $to i32) (result i32)
    (if (result i32) (local.get $depth)
      (then (i32.add
        (call_indirect (type $step) (i32.sub (local.get $depth) (i32.const 1)) (local.get $to))
        (call_indirect (type $step) (i32.sub (local.get $depth) (i32.const 1)) (local.get $to))))
      (else (i32.const 1))))
  (func $left (type $step) (call $both (local.get 0) (i32.const 1)))
  (func $right (type $step) (call $both (local.get 0) (i32.const 0)))
  (func (export "wasi:http/incoming-handler@0.2.3#handle") (param i32 i32)
    (drop (call $left (i32.const 60)))))
