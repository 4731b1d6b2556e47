"""What is true of this machine and its user now, as the policy is told; None wherever it is not known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo

CPU = "cpu"


@dataclass(frozen=True)
class App:
    """A running program, and the cards that it uses, by UUID, where a driver tells."""

    name: str
    pid: int | None = None
    cards: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Card:
    """One graphics card. `others_percent` is what programs that are not ours keep busy of it."""

    uuid: str
    name: str = ""
    memory_bytes: int = 0
    temperature_c: float | None = None
    others_percent: float | None = None


@dataclass(frozen=True)
class Facts:
    """Everything that a decision rests on.

    Attributes:
        now: Unix seconds.
        zone: the machine's time zone; None for the system's own.
        sharing: the one switch of *Home*.
        idle_s: seconds since the user's last input in any session; None where no session tells.
        idle_why: why `idle_s` is None, as a clause.
        full_screen: the program whose window fills the screen; None also where it is not known.
        exclusive: those of the owner's exclusive programs that run.
        others_percent: what programs that are not ours keep busy of the processor.
        hot: CPU and cards (by UUID) that are too hot, with hysteresis.
        busy: CPU and cards that others keep busy, with a grace period both ways.
    """

    now: float
    cpu_threads: int = 1
    memory_bytes: int = 0
    zone: tzinfo | None = None
    sharing: bool = True
    cards: tuple[Card, ...] = ()
    cpu_temperature_c: float | None = None
    on_battery: bool | None = None
    idle_s: float | None = None
    idle_why: str = ""
    full_screen: App | None = None
    exclusive: tuple[App, ...] = ()
    others_percent: float | None = None
    hot: frozenset[str] = frozenset()
    busy: frozenset[str] = frozenset()
