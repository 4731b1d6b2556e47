"""Rules that remember: what was too hot stays so until it has cooled, what was busy until it has been quiet. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from depin_desktop.api.controls import Wishes
from depin_desktop.controls.facts import CPU, Facts

BUSY_AFTER_S = 5.0  # a program that starts is not yet a person at work
QUIET_AFTER_S = 20.0  # and one that waits for its user is not yet gone
SILENT_S = 10.0  # readings fail now and then; a thing that stays silent for longer is no longer known to be hot


@dataclass(frozen=True)
class Memory:
    """What the rules remember from one round to the next.

    Attributes:
        hot: what is too hot, with the time of its last reading.
        busy: what others keep busy.
        since: since when each thing has been on the other side of its busy limit.
    """

    hot: Mapping[str, float] = field(default_factory=dict)
    busy: frozenset[str] = frozenset()
    since: Mapping[str, float] = field(default_factory=dict)


def remember(wishes: Wishes, facts: Facts, memory: Memory) -> Memory:
    """The memory after one more round of readings."""
    busy, since = _busy(wishes, facts, memory)
    return Memory(_hot(wishes, facts, memory), busy, since)


def _hot(wishes: Wishes, facts: Facts, memory: Memory) -> dict[str, float]:
    limit = wishes.max_temperature_c
    if limit is None:
        return {}
    readings = {CPU: facts.cpu_temperature_c, **{card.uuid: card.temperature_c for card in facts.cards}}
    hot = {}
    for name in {*readings, *memory.hot}:
        celsius = readings.get(name)
        if celsius is None:
            if name in memory.hot and facts.now - memory.hot[name] < SILENT_S:
                hot[name] = memory.hot[name]
        elif celsius >= (wishes.resume_temperature_c if name in memory.hot else limit):
            hot[name] = facts.now
    return hot


def _busy(wishes: Wishes, facts: Facts, memory: Memory) -> tuple[frozenset[str], dict[str, float]]:
    limit = wishes.busy_percent
    if limit is None:
        return frozenset(), {}
    busy, since = set(), {}
    for name, percent in ((CPU, facts.others_percent), *((card.uuid, card.others_percent) for card in facts.cards)):
        was = name in memory.busy
        over = percent is not None and percent > limit
        if over != was:
            began = since[name] = memory.since.get(name, facts.now)
            if facts.now - began >= (BUSY_AFTER_S if over else QUIET_AFTER_S):
                was = over
                del since[name]
        if was:
            busy.add(name)
    return frozenset(busy), since
