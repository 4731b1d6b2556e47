"""What one look at a session found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Seen:
    """None is unknown; `app` and `pid` name the program that fills the screen; `source` says who told."""

    idle_s: float | None = None
    full_screen: bool | None = None
    app: str = ""
    pid: int | None = None
    source: str = ""

    @property
    def anything(self) -> bool:
        return self.idle_s is not None or self.full_screen is not None
