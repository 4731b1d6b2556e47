"""The owner's controls in words: groups of rules, each with its effect on this machine now, and what a change means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from depin_desktop.api.controls import CardWish, ControlsStatus, Wishes
from depin_desktop.api.models import Inventory
from depin_desktop.api.week import format_spans, parse_spans
from depin_desktop.app.words import NBSP, Words, named, tr
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import format_size, parse_size

GIB = 2**30
POWER = "power:"  # before a card's UUID: the rule of that card's power limit
LEAST_MEMORY = GIB // 2
DEFAULT_BUSY, DEFAULT_CEILING, RESUME_BELOW = 50, 85, 10


@dataclass(frozen=True)
class Amount:
    """What a slider may choose and how it is written: unit is bytes | % | °C | W | min."""

    smallest: int
    largest: int
    step: int
    value: int
    unit: str


@dataclass(frozen=True)
class Rule:
    """One wish. `on` None has no switch; `amount` None no slider; `text` None no field."""

    key: str
    title: str
    effect: Words
    on: bool | None = None
    amount: Amount | None = None
    text: str | None = None
    hint: str = ""


@dataclass(frozen=True)
class Group:
    """Rules that answer one question."""

    title: str
    icon: str
    rules: tuple[Rule, ...]


def groups(controls: ControlsStatus, inventory: Inventory | None) -> tuple[Group, ...]:
    """All rules, by the question that they answer."""
    return (
        Group(tr("How much work may use"), "chip", _how_much(controls, inventory)),
        Group(tr("While you use the computer"), "machine", _giving_way(controls)),
        Group(tr("Heat and power"), "sensor", _heat(controls)),
        Group(tr("At which hours"), "clock", _hours(controls)),
    )


def _effect(controls: ControlsStatus, key: str) -> Words:
    return Words(named(controls.effects.get(key, "")), "muted")


def _how_much(controls: ControlsStatus, inventory: Inventory | None) -> tuple[Rule, ...]:
    wishes = controls.wishes
    total = inventory.memory.total_bytes if inventory else max(controls.memory_bytes, 4 * GIB)
    memory = wishes.memory_bytes if wishes.memory_bytes is not None else total // 2
    room = max((disk.total_bytes for disk in inventory.disks), default=0) if inventory else 0
    disk = wishes.disk_bytes or 20 * GIB
    rules = [
        Rule(
            "cpu_percent",
            tr("Processor"),
            _effect(controls, "cpu_percent"),
            amount=Amount(5, 100, 5, wishes.cpu_percent, "%"),
        ),
        Rule(
            "memory_bytes",
            tr("Memory"),
            _effect(controls, "memory_bytes"),
            amount=Amount(LEAST_MEMORY, total, GIB // 2, min(memory, total), "bytes"),
        ),
    ]
    if any(card.gpu.memory_total_bytes for card in controls.cards):
        rules.append(
            Rule(
                "vram_percent",
                tr("Memory of cards"),
                _effect(controls, "vram_percent"),
                amount=Amount(10, 100, 5, wishes.vram_percent, "%"),
            )
        )
    rules.append(
        Rule(
            "disk_bytes",
            tr("Disk for models"),
            _effect(controls, "disk_bytes"),
            on=wishes.disk_bytes is not None,
            amount=Amount(GIB, max(room, disk, 2 * GIB), GIB, disk, "bytes"),
        )
    )
    return tuple(rules)


def _giving_way(controls: ControlsStatus) -> tuple[Rule, ...]:
    wishes = controls.wishes
    return (
        Rule(
            "only_when_idle",
            tr("Only when idle"),
            _effect(controls, "only_when_idle"),
            on=wishes.only_when_idle,
            amount=Amount(1, 60, 1, max(1, round(wishes.idle_after_s / 60)), "min"),
        ),
        Rule(
            "pause_full_screen",
            tr("Stop for full screen"),
            _effect(controls, "pause_full_screen"),
            on=wishes.pause_full_screen,
        ),
        Rule(
            "busy_percent",
            tr("Give way to other load"),
            _effect(controls, "busy_percent"),
            on=wishes.busy_percent is not None,
            amount=Amount(5, 95, 5, wishes.busy_percent or DEFAULT_BUSY, "%"),
        ),
        Rule(
            "exclusive_apps",
            tr("Stop for programs"),
            _effect(controls, "exclusive_apps"),
            text=", ".join(wishes.exclusive_apps),
            hint=tr("blender, steam, game.exe"),
        ),
    )


def _heat(controls: ControlsStatus) -> tuple[Rule, ...]:
    wishes = controls.wishes
    ceiling = round(wishes.max_temperature_c or DEFAULT_CEILING)
    rules = [
        Rule(
            "max_temperature_c",
            tr("Stop when hot"),
            _effect(controls, "max_temperature_c"),
            on=wishes.max_temperature_c is not None,
            amount=Amount(40, 105, 1, ceiling, "°C"),
        ),
    ]
    if wishes.max_temperature_c is not None:
        below = Words(tr("A wider gap pauses less often, and for longer."), "muted")
        largest = max(31, ceiling - 1)
        rules.append(
            Rule(
                "resume_temperature_c",
                tr("Go on below"),
                below,
                amount=Amount(30, largest, 1, min(largest, round(wishes.resume_temperature_c)), "°C"),
            )
        )
    rules.append(Rule("on_battery", tr("Work on battery"), _effect(controls, "on_battery"), on=wishes.on_battery))
    for card in controls.cards:
        if card.gpu.power_range_w is None:
            continue
        wish = wishes.cards.get(card.gpu.uuid, CardWish())
        least, most = (round(watts) for watts in card.gpu.power_range_w)
        value = round(wish.power_limit_w or card.gpu.power_limit_w or most)
        limited = wish.power_limit_w is not None
        effect = tr("{name} draws at most {watts} W.", name=card.gpu.name, watts=value)
        if not limited:
            effect = tr("{name} keeps its driver's own limit.", name=card.gpu.name)
        rules.append(
            Rule(
                POWER + card.gpu.uuid,
                tr("Power limit"),
                Words(card.detail, "warning") if card.detail else Words(effect, "muted"),
                on=limited,
                amount=Amount(least, most, 5, min(most, max(least, value)), "W"),
            )
        )
    return tuple(rules)


def _hours(controls: ControlsStatus) -> tuple[Rule, ...]:
    wishes, hint = controls.wishes, tr("mon-fri 22:00-07:00")
    return (
        Rule(
            "schedule",
            tr("Allowed hours"),
            _effect(controls, "schedule"),
            text=format_spans(wishes.schedule),
            hint=hint,
        ),
        Rule(
            "quiet_hours",
            tr("Quiet hours"),
            _effect(controls, "quiet_hours"),
            text=format_spans(wishes.quiet_hours),
            hint=tr("22:00-06:30"),
        ),
        Rule(
            "expensive_hours",
            tr("Costly hours"),
            _effect(controls, "expensive_hours"),
            text=format_spans(wishes.expensive_hours),
            hint=tr("mon-fri 17:00-20:00"),
        ),
        Rule("finish_current", tr("Finish what runs"), _effect(controls, "finish_current"), on=wishes.finish_current),
    )


# --- changes --------------------------------------------------------------------------------------------------------


def switched(wishes: Wishes, rule: Rule, on: bool) -> Wishes:
    """The wishes after a rule's switch was moved."""
    amount = rule.amount.value if rule.amount else 0
    if rule.key.startswith(POWER):
        return _card(wishes, rule.key, power_limit_w=float(amount) if on else None)
    if rule.key == "max_temperature_c":
        return ceiling(wishes, amount) if on else _with(wishes, max_temperature_c=None)
    if rule.key in ("busy_percent", "disk_bytes"):
        return _with(wishes, **{rule.key: amount if on else None})
    return _with(wishes, **{rule.key: on})


def measured(wishes: Wishes, rule: Rule, value: int) -> Wishes:
    """The wishes after a rule's amount was chosen."""
    if rule.key.startswith(POWER):
        return _card(wishes, rule.key, power_limit_w=float(value))
    if rule.key == "only_when_idle":
        return _with(wishes, idle_after_s=60.0 * value)
    if rule.key == "max_temperature_c":
        return ceiling(wishes, value)
    return _with(wishes, **{rule.key: value})


def written(wishes: Wishes, rule: Rule, text: str) -> Wishes:
    """The wishes after a rule's text was written.

    Raises:
        UserFacingError: it is not hours of the week.
    """
    if rule.key == "exclusive_apps":
        names = (name.strip() for name in text.replace(";", ",").split(","))
        return _with(wishes, exclusive_apps=tuple(dict.fromkeys(name for name in names if name)))
    return _with(wishes, **{rule.key: parse_spans(text)})


def used(wishes: Wishes, card: str, on: bool) -> Wishes:
    """The wishes after a card was switched on or off."""
    return _card(wishes, card, use=on)


def ceiling(wishes: Wishes, celsius: int) -> Wishes:
    """Another temperature ceiling; where work goes on moves down with it, and stays where there is room."""
    resume = min(wishes.resume_temperature_c, celsius - 1 if celsius <= 31 else max(30, celsius - RESUME_BELOW))
    return _with(wishes, max_temperature_c=float(celsius), resume_temperature_c=float(resume))


def _card(wishes: Wishes, key: str, **changes: Any) -> Wishes:
    uuid = key.removeprefix(POWER)
    wish = wishes.cards.get(uuid, CardWish()).model_copy(update=changes)
    return _with(wishes, cards={**wishes.cards, uuid: wish})


def _with(wishes: Wishes, **changes: Any) -> Wishes:
    return Wishes.model_validate(wishes.model_dump() | changes)


# --- amounts as text ------------------------------------------------------------------------------------------------


def say_amount(value: int, unit: str) -> str:
    """How a slider's field writes its value."""
    return format_size(value) if unit == "bytes" else f"{value}{NBSP}{unit}"


def read_amount(text: str, unit: str) -> int:
    """What somebody wrote into a slider's field.

    Raises:
        UserFacingError: it is not such an amount.
    """
    if unit == "bytes":
        return parse_size(text)
    plain = text.replace(NBSP, " ").strip().removesuffix(unit).strip()
    try:
        return round(float(plain.replace(",", ".")))
    except ValueError as error:
        raise UserFacingError(
            tr("“{given}” is not a number.", given=text), tr("Write it as {example}.", example=say_amount(50, unit))
        ) from error
