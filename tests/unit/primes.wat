;; How many primes are below the decimal number on standard input, by trial division; the answer is a line of digits.
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (local $at i32) (local $end i32) (local $digit i32)
    (local $limit i32) (local $count i32) (local $number i32) (local $factor i32)
    (i32.store (i32.const 0) (i32.const 64))
    (i32.store (i32.const 4) (i32.const 32))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (local.set $at (i32.const 64))
    (local.set $end (i32.add (i32.const 64) (i32.load (i32.const 8))))
    (block $parsed
      (loop $parse
        (br_if $parsed (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $digit (i32.sub (i32.load8_u (local.get $at)) (i32.const 48)))
        (br_if $parsed (i32.gt_u (local.get $digit) (i32.const 9)))
        (local.set $limit (i32.add (i32.mul (local.get $limit) (i32.const 10)) (local.get $digit)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $parse)))
    (local.set $number (i32.const 2))
    (block $counted
      (loop $next
        (br_if $counted (i32.ge_u (local.get $number) (local.get $limit)))
        (local.set $factor (i32.const 2))
        (block $composite
          (block $prime
            (loop $try
              (br_if $prime (i32.gt_u (i32.mul (local.get $factor) (local.get $factor)) (local.get $number)))
              (br_if $composite (i32.eqz (i32.rem_u (local.get $number) (local.get $factor))))
              (local.set $factor (i32.add (local.get $factor) (i32.const 1)))
              (br $try)))
          (local.set $count (i32.add (local.get $count) (i32.const 1))))
        (local.set $number (i32.add (local.get $number) (i32.const 1)))
        (br $next)))
    (local.set $at (i32.const 159))
    (i32.store8 (local.get $at) (i32.const 10))
    (loop $write_digit
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $count) (i32.const 10))))
      (local.set $count (i32.div_u (local.get $count) (i32.const 10)))
      (br_if $write_digit (local.get $count)))
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (i32.sub (i32.const 160) (local.get $at)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
