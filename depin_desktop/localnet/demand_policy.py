"""What a neighbour does next: pure decisions, so that demand can be looked at without a network."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from depin_desktop.core.errors import UserFacingError

KIB, MIB = 2**10, 2**20
WHOLE_READS = 0.5  # the others read a part
FIRST_BACK_OFF_S, LONGEST_BACK_OFF_S = 2.0, 120.0


class DemandSettings(BaseModel):
    """How much a neighbour buys, and how fast; sizes in bytes, times in seconds.

    Attributes:
        codes: (needed, total) to choose from: any `needed` of `total` pieces give a file back.
        computing: the share of turns in which work is bought, where that is offered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    smallest: int = Field(default=64 * KIB, gt=0)
    largest: int = Field(default=24 * MIB, gt=0)
    most_stored: int = Field(default=256 * MIB, gt=0)
    most_files: int = Field(default=40, gt=0)
    shortest_pause_s: float = Field(default=3.0, ge=0)
    longest_pause_s: float = Field(default=20.0, ge=0)
    shortest_term_periods: int = Field(default=10, gt=0)
    longest_term_periods: int = Field(default=240, gt=0)
    codes: tuple[tuple[int, int], ...] = Field(default=((1, 1), (1, 2), (2, 3)), min_length=1)
    computing: float = Field(default=0.5, ge=0, le=1)

    @model_validator(mode="after")
    def _in_order(self) -> DemandSettings:
        if not (
            self.smallest <= min(self.largest, self.most_stored)
            and self.shortest_pause_s <= self.longest_pause_s
            and self.shortest_term_periods <= self.longest_term_periods
        ):
            raise ValueError("a lower bound lies above its upper bound")
        return self

    @staticmethod
    def load(path: Path) -> DemandSettings:
        """The settings in a JSON file; the defaults where there is none.

        Raises:
            UserFacingError: the file says something that is not a setting.
        """
        try:
            return DemandSettings.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return DemandSettings()
        except ValidationError as error:
            raise UserFacingError(
                f"{path} holds no settings of the demand.", "Correct or delete it.", code="bad-settings"
            ) from error


class Act(Enum):
    STORE = "store"
    READ = "read"
    REMOVE = "remove"


@dataclass(frozen=True)
class Held:
    """A file that the neighbour has stored and whose term is still running."""

    locator: str
    name: str
    size: int


@dataclass(frozen=True)
class Plan:
    """The next thing to do: a file to store, a range of one (`held`) to read, or one to remove.

    Attributes:
        start, size: the range to read, or the size of the file to store; bytes.
        code: (needed, total) pieces of the file to store.
    """

    act: Act
    held: Held | None = None
    name: str = ""
    start: int = 0
    size: int = 0
    term_periods: int = 0
    code: tuple[int, int] = (1, 1)


def decide(held: Sequence[Held], settings: DemandSettings, dice: random.Random) -> Plan:
    """Stores while there is room, reads what is there now and then, and removes a little of it."""
    stored = sum(file.size for file in held)
    room = settings.most_stored - stored
    full = room < settings.smallest or len(held) >= settings.most_files
    if not held:
        return _store(room, settings, dice)
    if full:
        weights = {Act.READ: 3, Act.REMOVE: 1}
    else:
        # The fuller it is the less is stored, so that a network that has been up for long reads more than it writes.
        fullness = max(stored / settings.most_stored, len(held) / settings.most_files)
        weights = {Act.STORE: math.ceil(10 * (1 - fullness)), Act.READ: 4, Act.REMOVE: 1}
    act = dice.choices(list(weights), weights=list(weights.values()))[0]
    if act is Act.STORE:
        return _store(room, settings, dice)
    chosen = dice.choice(held)
    if act is Act.REMOVE:
        return Plan(act, held=chosen)
    whole = dice.random() < WHOLE_READS
    start = 0 if whole else dice.randrange(chosen.size)
    return Plan(act, held=chosen, start=start, size=chosen.size if whole else dice.randint(1, chosen.size - start))


def _store(room: int, settings: DemandSettings, dice: random.Random) -> Plan:
    largest = min(settings.largest, room)
    # Sizes as people have them: many small ones, few large ones (log-uniform).
    size = round(math.exp(dice.uniform(math.log(settings.smallest), math.log(largest))))
    size = min(max(size, settings.smallest), largest)
    term = dice.randint(settings.shortest_term_periods, settings.longest_term_periods)
    name = f"neighbour-{dice.getrandbits(64):016x}.bin"
    return Plan(Act.STORE, name=name, size=size, term_periods=term, code=dice.choice(settings.codes))


def content(name: str, size: int) -> bytes:
    """What the file of that name holds: incompressible bytes that can be made again to verify what comes back."""
    return hashlib.shake_256(name.encode()).digest(size)


def pause_s(settings: DemandSettings, dice: random.Random) -> float:
    """How long to wait after something that went well."""
    return dice.uniform(settings.shortest_pause_s, settings.longest_pause_s)


def back_off_s(failures: int) -> float:
    """How long to wait after so many failures in a row."""
    return min(LONGEST_BACK_OFF_S, FIRST_BACK_OFF_S * 2.0 ** min(failures - 1, 16))
