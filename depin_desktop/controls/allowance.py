"""What a service may use of this machine now: the answer of `policy.decide`, which every service follows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Allowance:
    """How much may be used now. Without `run` every amount is zero.

    Attributes:
        run: whether work may run.
        reason: one sentence that says why not, printed as it is; empty when `run`.
        cpu_threads: threads that all workers together may keep busy.
        memory_bytes: main memory that all workers together may hold.
        gpus: UUIDs of the cards that may be used; empty for none.
        vram_bytes: memory that may be held on each of those cards; None for all of it.
        finish_current: let what runs come to its end and begin nothing new; otherwise stop at once.
        until: Unix seconds when this ends by itself (snooze, schedule), where that is known.
        disk_bytes: space that models and the jobs' files may take; None for no cap of the owner's.
    """

    run: bool
    reason: str = ""
    cpu_threads: int = 0
    memory_bytes: int = 0
    gpus: tuple[str, ...] = ()
    vram_bytes: int | None = None
    finish_current: bool = False
    until: float | None = None
    disk_bytes: int | None = None

    @classmethod
    def stopped(cls, reason: str, *, finish_current: bool = False, until: float | None = None) -> Allowance:
        """Nothing may run, for this one reason."""
        return cls(run=False, reason=reason, finish_current=finish_current, until=until)
