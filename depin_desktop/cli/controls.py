"""Commands of the owner's controls: `controls show`, `set`, `snooze`, `resume`."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import click
from pydantic import ValidationError

from depin_desktop.api.client import EngineClient
from depin_desktop.api.controls import CardWish, ControlsStatus, Wishes
from depin_desktop.api.week import format_spans, parse_spans
from depin_desktop.cli.output import Context, command, table
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import format_size, parse_size

OFF = "off"
_DURATION = re.compile(r"^(\d+(?:\.\d+)?)\s*(s|sec|min|m|h|d)$")
_SECONDS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}


def register(root: click.Group) -> None:
    root.add_command(controls)


@click.group()
def controls() -> None:
    """How much of this machine may work for others, and when."""


@controls.command()
@command
async def show(context: Context) -> None:
    """Show every control, what it does here, and whether work may run now."""
    async with EngineClient(context.home) as client:
        answer = await client.controls()
    context.answer(answer, describe(answer))


@controls.command(name="set")
@click.option("--cpu", "cpu_percent", type=int, help="Share of the processor in percent.")
@click.option("--memory", "memory_bytes", help="Memory that work may hold, such as 4GiB; “off” for half of it.")
@click.option("--disk", "disk_bytes", help="Space of models and jobs, such as 20GB; “off” for no cap.")
@click.option("--vram", "vram_percent", type=int, help="Share of each card's memory in percent.")
@click.option("--card", "cards", multiple=True, metavar="UUID=on|off", help="Use a graphics card, or not.")
@click.option(
    "--card-power", "powers", multiple=True, metavar="UUID=WATTS|off", help="Limit what a card draws, where allowed."
)
@click.option("--max-temperature", "max_temperature_c", help="Stop above so many °C; “off” for never.")
@click.option("--resume-temperature", "resume_temperature_c", type=float, help="Go on below so many °C.")
@click.option("--only-when-idle/--also-in-use", "only_when_idle", default=None, help="Work only when you do not.")
@click.option("--idle-after", "idle_after_s", help="Without input for how long the computer is idle: 3min.")
@click.option("--on-battery/--not-on-battery", "on_battery", default=None, help="Work on the battery too.")
@click.option("--busy", "busy_percent", help="Stop while other programs use more, in percent; “off” for never.")
@click.option("--exclusive", "exclusive_apps", help="Programs that have the computer for themselves: “game; blender”.")
@click.option("--full-screen-pauses/--full-screen-works", "pause_full_screen", default=None)
@click.option("--schedule", help="Work only then: “mon-fri 22:00-07:00; sat,sun 00:00-24:00”; “off” for always.")
@click.option("--quiet", "quiet_hours", help="Never work then.")
@click.option("--expensive", "expensive_hours", help="Electricity is dear then: never work.")
@click.option("--finish-current/--stop-at-once", "finish_current", default=None, help="When allowed hours end.")
@command
async def set_controls(
    context: Context, cards: tuple[str, ...], powers: tuple[str, ...], **given: str | float | bool | None
) -> None:
    """Change some controls; the others stay as they are."""
    async with EngineClient(context.home) as client:
        before = (await client.controls()).wishes
        answer = await client.set_controls(_changed(before, cards, powers, given))
    context.answer(answer, describe(answer))


@controls.command()
@click.argument("duration", required=False)
@click.option("--finish-current", is_flag=True, help="Let what runs come to its end first.")
@command
async def snooze(context: Context, duration: str | None, finish_current: bool) -> None:
    """Pause work for a while (30min, 2h, 1d), or until resumed where no time is given."""
    seconds = None if duration is None else parse_duration(duration)
    async with EngineClient(context.home) as client:
        answer = await client.pause(seconds, finish_current=finish_current)
    context.answer(answer, now_of(answer))


@controls.command()
@command
async def resume(context: Context) -> None:
    """Take a pause back."""
    async with EngineClient(context.home) as client:
        answer = await client.resume()
    context.answer(answer, now_of(answer))


def parse_duration(text: str) -> float:
    """Seconds meant by "90s", "30min", "2h" or "1d".

    Raises:
        UserFacingError: the text is no duration.
    """
    match = _DURATION.match(text.strip().lower())
    if match is None:
        raise UserFacingError(
            f"“{text}” is not a duration.", "Write a number with a unit, such as 30min or 2h.", code="bad-duration"
        )
    return float(match[1]) * _SECONDS[match[2]]


_READ: dict[str, Callable[[str], Any]] = {
    "memory_bytes": lambda text: None if text == OFF else parse_size(text),
    "disk_bytes": lambda text: None if text == OFF else parse_size(text),
    "max_temperature_c": lambda text: None if text == OFF else _number(text),
    "busy_percent": lambda text: None if text == OFF else int(_number(text)),
    "idle_after_s": parse_duration,
    "exclusive_apps": lambda text: tuple(part.strip() for part in text.split(";") if part.strip() not in ("", OFF)),
    "schedule": lambda text: parse_spans("" if text == OFF else text),
    "quiet_hours": lambda text: parse_spans("" if text == OFF else text),
    "expensive_hours": lambda text: parse_spans("" if text == OFF else text),
}


def _changed(
    before: Wishes, cards: tuple[str, ...], powers: tuple[str, ...], given: dict[str, str | float | bool | None]
) -> Wishes:
    change: dict[str, Any] = {
        name: _READ[name](str(value)) if name in _READ else value for name, value in given.items() if value is not None
    }
    wished = dict(before.cards)
    for entry in cards:
        uuid, word = _pair(entry, "on or off")
        if word not in ("on", OFF):
            raise UserFacingError(f"“{entry}” is not understood.", "Write UUID=on or UUID=off.", code="bad-card")
        wished[uuid] = wished.get(uuid, CardWish()).model_copy(update={"use": word == "on"})
    for entry in powers:
        uuid, word = _pair(entry, "watts or off")
        watts = None if word == OFF else _number(word)
        wished[uuid] = wished.get(uuid, CardWish()).model_copy(update={"power_limit_w": watts})
    try:
        return Wishes.model_validate({**dict(before), **change, "cards": wished})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserFacingError(
            f"That cannot be set: {where} {first['msg']}.".replace("  ", " "), code="bad-control"
        ) from error


def _pair(entry: str, wanted: str) -> tuple[str, str]:
    uuid, equals, word = entry.partition("=")
    if not uuid or not equals:
        raise UserFacingError(f"“{entry}” names no card.", f"Write UUID={wanted}.", code="bad-card")
    return uuid, word.strip().lower()


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UserFacingError(f"“{text}” is not a number.", code="bad-number") from error


def now_of(status: ControlsStatus) -> str:
    """Whether work may run now, in one sentence."""
    if not status.run:
        finishing = " What runs is finished first." if status.finish_current else ""
        return f"{status.reason}{finishing}"
    until = "" if status.until is None else f" until {time.strftime('%a %H:%M', time.localtime(status.until))}"
    return f"Work may run{until}."


def describe(status: ControlsStatus) -> str:
    """The controls for people: now, then a line for each wish with its effect."""
    wishes = status.wishes
    rows = [
        ("cpu", f"{wishes.cpu_percent} %", "cpu_percent"),
        ("memory", format_size(wishes.memory_bytes) if wishes.memory_bytes else "half", "memory_bytes"),
        ("disk", OFF if wishes.disk_bytes is None else format_size(wishes.disk_bytes), "disk_bytes"),
        ("vram", f"{wishes.vram_percent} %", "vram_percent"),
        (
            "max-temperature",
            f"{wishes.max_temperature_c:.0f} °C" if wishes.max_temperature_c else OFF,
            "max_temperature_c",
        ),
        ("only-when-idle", _yes(wishes.only_when_idle), "only_when_idle"),
        ("on-battery", _yes(wishes.on_battery), "on_battery"),
        ("busy", OFF if wishes.busy_percent is None else f"{wishes.busy_percent} %", "busy_percent"),
        ("exclusive", "; ".join(wishes.exclusive_apps) or OFF, "exclusive_apps"),
        ("full-screen-pauses", _yes(wishes.pause_full_screen), "pause_full_screen"),
        ("schedule", format_spans(wishes.schedule) or OFF, "schedule"),
        ("quiet", format_spans(wishes.quiet_hours) or OFF, "quiet_hours"),
        ("expensive", format_spans(wishes.expensive_hours) or OFF, "expensive_hours"),
        ("finish-current", _yes(wishes.finish_current), "finish_current"),
    ]
    lines = [now_of(status), "", table([(name, value, status.effects.get(key, "")) for name, value, key in rows])]
    if status.cards:
        cards = [
            (
                card.gpu.uuid,
                card.gpu.name,
                "used" if card.allowed else "not used",
                f"{card.reason} {card.detail}".strip(),
            )
            for card in status.cards
        ]
        lines += ["", table(cards)]
    return "\n".join([*lines, *(["", *status.unknown] if status.unknown else [])])


def _yes(value: bool) -> str:
    return "yes" if value else "no"
