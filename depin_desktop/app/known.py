"""What the app knows right now: the last snapshots of the engine, and how the link to it stands. Immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from depin_desktop.api.compute import CPU, ComputeStatus
from depin_desktop.api.controls import ControlsStatus
from depin_desktop.api.models import EngineStatus, Inventory, StorageStatus
from depin_desktop.api.wallet import HistoryEntry, WalletStatus


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
    """All of it. None means "not heard yet", which a page shows as loading; it never means zero.

    Attributes:
        loads: how busy each device was, as (Unix seconds, percent), oldest first; by "cpu" or a card's UUID.
    """

    link: Link = field(default_factory=Link)
    status: EngineStatus | None = None
    storage: StorageStatus | None = None
    wallet: WalletStatus | None = None
    inventory: Inventory | None = None
    compute: ComputeStatus | None = None
    controls: ControlsStatus | None = None
    loads: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    history: tuple[HistoryEntry, ...] | None = None
    history_complete: bool = False
    heard_at: float | None = None

    @property
    def symbol(self) -> str:
        """The token's symbol, once known."""
        return self.status.network.symbol if self.status else ""


KEPT_LOADS = 180  # at one reading every two seconds, the last six minutes


def with_load(
    loads: Mapping[str, tuple[tuple[float, float], ...]], controls: ControlsStatus, at: float
) -> dict[str, tuple[tuple[float, float], ...]]:
    """`loads` with what `controls` tells of `at`; a device that is gone takes its readings with it."""
    now = {card.gpu.uuid: card.gpu.utilisation_percent for card in controls.cards}
    now[CPU] = controls.cpu_load_percent
    return {
        device: (*loads.get(device, ())[-KEPT_LOADS + 1 :], (at, percent))
        for device, percent in now.items()
        if percent is not None
    }
