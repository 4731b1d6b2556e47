(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 16) "saltsalt")
  (func (export "_start") (local $hash i64) (local $at i32) (local $round i32)
    (local.set $hash (i64.load (i32.const 16)))
    (block $end
      (loop $more
        (i32.store (i32.const 0) (i32.const 1024))
        (i32.store (i32.const 4) (i32.const 65536))
        (br_if $end (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
        (br_if $end (i32.eqz (i32.load (i32.const 8))))
        (local.set $at (i32.const 0))
        (loop $byte
          (local.set $hash (i64.mul
            (i64.xor (local.get $hash) (i64.load8_u offset=1024 (local.get $at)))
            (i64.const 0x100000001b3)))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br_if $byte (i32.lt_u (local.get $at) (i32.load (i32.const 8)))))
        (br $more)))
    (local.set $round (i32.const 20000))
    (loop $mix
      (local.set $hash (i64.xor (local.get $hash) (i64.shl (local.get $hash) (i64.const 13))))
      (local.set $hash (i64.xor (local.get $hash) (i64.shr_u (local.get $hash) (i64.const 7))))
      (local.set $hash (i64.xor (local.get $hash) (i64.shl (local.get $hash) (i64.const 17))))
      (local.set $round (i32.sub (local.get $round) (i32.const 1)))
      (br_if $mix (local.get $round)))
    (i64.store (i32.const 24) (local.get $hash))
    (i32.store (i32.const 0) (i32.const 24))
    (i32.store (i32.const 4) (i32.const 8))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
