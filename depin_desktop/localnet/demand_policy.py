"""What a neighbour does next: pure decisions, so that demand can be looked at without a network."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from depin_desktop.core.errors import UserFacingError

KIB, MIB = 2**10, 2**20
CODES = ((1, 1), (1, 2), (2, 3))  # any `needed` of `total` pieces give the file back
FIRST_BACK_OFF_S, LONGEST_BACK_OFF_S = 2.0, 120.0


class DemandSettings(BaseModel):
    """How much a neighbour buys, and how fast; sizes in bytes, times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    smallest: int = 64 * KIB
    largest: int = 24 * MIB
    most_stored: int = 256 * MIB
    most_files: int = 40
    shortest_pause_s: float = 3.0
    longest_pause_s: float = 20.0
    shortest_term_periods: int = 10
    longest_term_periods: int = 240

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
    """The next thing to do: a file to store (all but `held`), or one to read or remove (`held`)."""

    act: Act
    held: Held | None = None
    name: str = ""
    size: int = 0
    term_periods: int = 0
    code: tuple[int, int] = (1, 1)  # needed, total


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
    return Plan(act, held=dice.choice(held))


def _store(room: int, settings: DemandSettings, dice: random.Random) -> Plan:
    largest = min(settings.largest, room)
    # Sizes as people have them: many small ones, few large ones (log-uniform).
    size = round(math.exp(dice.uniform(math.log(settings.smallest), math.log(largest))))
    size = min(max(size, settings.smallest), largest)
    term = dice.randint(settings.shortest_term_periods, settings.longest_term_periods)
    name = f"neighbour-{dice.getrandbits(64):016x}.bin"
    return Plan(Act.STORE, name=name, size=size, term_periods=term, code=dice.choice(CODES))


def content(name: str, size: int) -> bytes:
    """What the file of that name holds: incompressible bytes that can be made again to verify what comes back."""
    return hashlib.shake_256(name.encode()).digest(size)


def pause_s(settings: DemandSettings, dice: random.Random) -> float:
    """How long to wait after something that went well."""
    return dice.uniform(settings.shortest_pause_s, settings.longest_pause_s)


def back_off_s(failures: int) -> float:
    """How long to wait after so many failures in a row."""
    return min(LONGEST_BACK_OFF_S, FIRST_BACK_OFF_S * 2.0 ** min(failures - 1, 16))
