"""The owner's controls as the local API tells and takes them: wishes, pauses, and what follows from them now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from depin_desktop.api.models import Gpu, Snapshot
from depin_desktop.api.week import Span

Percent = Annotated[int, Field(ge=1, le=100)]
Celsius = Annotated[float, Field(ge=30, le=110)]
Bytes = Annotated[int, Field(ge=0)]


class CardWish(Snapshot):
    """What the owner wants of one graphics card."""

    use: bool = True
    power_limit_w: Annotated[float, Field(gt=0)] | None = None  # None leaves the driver's own limit


class Wishes(Snapshot):
    """How much of this machine may work for others, and when. None switches a rule off."""

    cpu_percent: Percent = 50
    memory_bytes: Annotated[int, Field(ge=64 << 20)] | None = None  # None: half of the machine's memory
    disk_bytes: Bytes | None = None  # of models and the jobs' files; None: only by free space
    vram_percent: Percent = 90
    cards: Mapping[str, CardWish] = Field(default_factory=dict)  # by UUID; cards that are not named may be used
    max_temperature_c: Celsius | None = 85
    resume_temperature_c: Celsius = 75
    only_when_idle: bool = False
    idle_after_s: Annotated[float, Field(ge=10, le=24 * 3600)] = 180
    on_battery: bool = False
    busy_percent: Percent | None = None  # other programs' use of the processor, or of a card
    exclusive_apps: tuple[str, ...] = ()  # names of programs, as the system lists them
    pause_full_screen: bool = True
    schedule: tuple[Span, ...] = ()  # work only then; empty: always
    quiet_hours: tuple[Span, ...] = ()  # never then
    expensive_hours: tuple[Span, ...] = ()  # electricity costs too much
    finish_current: bool = False  # at the end of the schedule: let what runs come to its end

    @model_validator(mode="after")
    def _resumes_below(self) -> Self:
        if self.max_temperature_c is not None and self.resume_temperature_c >= self.max_temperature_c:
            raise ValueError("resume_temperature_c must be below max_temperature_c")
        return self


class Pause(Snapshot):
    """The owner's own pause; `until` None means until it is taken back."""

    until: float | None = None
    finish_current: bool = False


class SetPause(Snapshot):
    """Pause now, for `seconds` or until resumed."""

    seconds: Annotated[float, Field(gt=0, le=31 * 24 * 3600)] | None = None
    finish_current: bool = False


class Presence(Snapshot):
    """What a desktop session tells of its user, every few seconds; it is forgotten when nothing follows.

    Attributes:
        session: tells the sessions of one machine apart.
        idle_s: seconds since the last key or movement; None where this desktop does not tell.
        full_screen: whether the window in front fills the screen; None where this desktop does not tell.
        app: the program in front, and `pid` its process; only while it fills the screen.
        source: who told ("Mutter", "XScreenSaver").
    """

    session: str
    idle_s: Annotated[float, Field(ge=0)] | None = None
    full_screen: bool | None = None
    app: str = ""
    pid: int | None = None
    source: str = ""


class CardStatus(Snapshot):
    """One graphics card: its readings, whether it may be used now, and the one reason why not."""

    gpu: Gpu
    allowed: bool
    reason: str = ""
    detail: str = ""  # what could not be done as wished, such as a power limit


class ControlsStatus(Snapshot):
    """Everything the controls show.

    Attributes:
        reason: one sentence that says why nothing runs; empty when `run`.
        effects: by the wish's name, one sentence that says what it does on this machine now.
        unknown: sentences about what cannot be told here, so that no rule guesses it.
    """

    wishes: Wishes
    pause: Pause | None = None
    run: bool
    reason: str = ""
    until: float | None = None
    finish_current: bool = False
    cpu_threads: int = 0
    memory_bytes: int = 0
    vram_bytes: int | None = None
    cards: tuple[CardStatus, ...] = ()
    cpu_load_percent: float | None = None  # of everything that runs here, ours and others'
    memory_used_bytes: int | None = None
    cpu_temperature_c: float | None = None
    on_battery: bool | None = None
    idle_s: float | None = None
    effects: Mapping[str, str] = Field(default_factory=dict)
    unknown: tuple[str, ...] = ()
