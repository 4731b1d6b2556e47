"""What the app knows right now: the last snapshots of the engine, and how the link to it stands. Immutable."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from depin_desktop.api.models import EngineStatus, HistoryEntry, Inventory, StorageStatus, WalletStatus


class Phase(StrEnum):
    """The link to the engine."""

    CONNECTING = "connecting"
    STARTING = "starting"  # no engine ran, so one was started
    LIVE = "live"
    LOST = "lost"  # it answered before and does not now
    FAILED = "failed"  # it could not be started


@dataclass(frozen=True)
class Link:
    """The link's phase, since when (Unix seconds), and the sentence that explains it."""

    phase: Phase = Phase.CONNECTING
    since: float = 0.0
    detail: str = ""
    remedy: str = ""

    @property
    def live(self) -> bool:
        return self.phase is Phase.LIVE


@dataclass(frozen=True)
class Known:
    """All of it. None means "not heard yet", which a page shows as loading; it never means zero."""

    link: Link = field(default_factory=Link)
    status: EngineStatus | None = None
    storage: StorageStatus | None = None
    wallet: WalletStatus | None = None
    inventory: Inventory | None = None
    history: tuple[HistoryEntry, ...] | None = None
    history_complete: bool = False
    heard_at: float | None = None

    @property
    def symbol(self) -> str:
        """The token's symbol, once known."""
        return self.status.network.symbol if self.status else ""
