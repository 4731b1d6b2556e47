"""What every kernel has in common: one function to enter by, and the way from leaves to the root over 64 KiB."""

from __future__ import annotations

from collections.abc import Sequence

from depin_desktop.sealing.merkle import HASH, SPAN, SPAN_LEAVES, SPAN_LEVELS

LEAVES, PAIRS, SPANS = range(3)
"""What `run` is asked to do."""


def entry(declarations: Sequence[str], functions: Sequence[str]) -> str:
    """A module's LLVM IR, which `run(what, in, n, out, table, scratch)` begins.

    Args:
        functions: `leaves` and `pairs`, each `(in, n, out, table)`; `out` may be `in`.
    """
    return "\n".join(
        [
            *declarations,
            f"""
define void @run(i64 %what, ptr %in, i64 %n, ptr %out, ptr %table, ptr %scratch) {{
  switch i64 %what, label %leaves [i64 {PAIRS}, label %pairs i64 {SPANS}, label %spans]
leaves:
  call void @leaves(ptr %in, i64 %n, ptr %out, ptr %table)
  ret void
pairs:
  call void @pairs(ptr %in, i64 %n, ptr %out, ptr %table)
  ret void
spans:
  call void @spans(ptr %in, i64 %n, ptr %out, ptr %table, ptr %scratch)
  ret void
}}""",
            *functions,
            _spans(),
        ]
    )


def _spans() -> str:
    """`spans(in, n, out, table, scratch)`: the root over each of n × 64 KiB; scratch holds a span's leaf hashes."""
    folds = "\n".join(
        f"  call void @pairs(ptr %scratch, i64 {SPAN_LEAVES >> level}, "
        f"ptr {'%scratch' if level < SPAN_LEVELS else '%to'}, ptr %table)"
        for level in range(1, SPAN_LEVELS + 1)
    )
    return f"""
define internal void @spans(ptr %in, i64 %n, ptr %out, ptr %table, ptr %scratch) noinline {{
entry:
  %none = icmp eq i64 %n, 0
  br i1 %none, label %done, label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  %start = mul i64 %i, {SPAN}
  %from = getelementptr i8, ptr %in, i64 %start
  %end = mul i64 %i, {HASH}
  %to = getelementptr i8, ptr %out, i64 %end
  call void @leaves(ptr %from, i64 {SPAN_LEAVES}, ptr %scratch, ptr %table)
{folds}
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %n
  br i1 %more, label %loop, label %done
done:
  ret void
}}"""
