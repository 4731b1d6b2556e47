"""What may run now: one pure function of the owner's wishes and the facts, with one reason, in priority order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from depin_desktop.api.controls import CardWish, Pause, Wishes
from depin_desktop.api.week import Span
from depin_desktop.controls.allowance import Allowance
from depin_desktop.controls.facts import CPU, App, Card, Facts


@dataclass(frozen=True)
class Stop:
    """Why nothing may run; the fields are those of `Allowance`."""

    reason: str
    finish_current: bool = False
    until: float | None = None


Rule = Callable[[Wishes, Facts], Stop | None]


def decide(wishes: Wishes, facts: Facts, pause: Pause | None = None) -> Allowance:
    """What every service may use now.

    The first rule of `RULES` that objects gives the one reason. Cards have rules of their own (`card_reason`): what
    concerns one card withdraws that card and nothing else.
    """
    stop = _paused(pause, facts) or next((found for rule in RULES if (found := rule(wishes, facts))), None)
    if stop is not None:
        return Allowance.stopped(stop.reason, finish_current=stop.finish_current, until=stop.until)
    cards = tuple(card for card in facts.cards if not card_reason(wishes, facts, card))
    return Allowance(
        run=True,
        cpu_threads=cpu_threads(wishes, facts),
        memory_bytes=memory_bytes(wishes, facts),
        gpus=tuple(card.uuid for card in cards),
        vram_bytes=vram_bytes(wishes, cards),
        until=_next_stop(wishes, facts),
        disk_bytes=wishes.disk_bytes,
    )


def cpu_threads(wishes: Wishes, facts: Facts) -> int:
    """The share of the processor in whole threads, at least one."""
    return max(1, facts.cpu_threads * wishes.cpu_percent // 100)


def memory_bytes(wishes: Wishes, facts: Facts) -> int:
    """The owner's cap, else half of the machine's memory; never more than there is."""
    half = facts.memory_bytes // 2
    return half if wishes.memory_bytes is None else min(wishes.memory_bytes, facts.memory_bytes)


def vram_bytes(wishes: Wishes, cards: tuple[Card, ...]) -> int | None:
    """The share of the smallest card's memory; None where no card has memory of its own."""
    sizes = [card.memory_bytes for card in cards if card.memory_bytes]
    return min(sizes) * wishes.vram_percent // 100 if sizes else None


# --- rules for the whole machine, the most important first ----------------------------------------------------------


def _paused(pause: Pause | None, facts: Facts) -> Stop | None:
    if pause is None or (pause.until is not None and pause.until <= facts.now):
        return None
    if pause.until is None:
        return Stop("You have paused work until you resume it.", pause.finish_current)
    return Stop(f"You have paused work until {_when(pause.until, facts)}.", pause.finish_current, pause.until)


def _switched_off(_: Wishes, facts: Facts) -> Stop | None:
    return None if facts.sharing else Stop("Sharing is switched off.")


def _too_hot(wishes: Wishes, facts: Facts) -> Stop | None:
    if CPU not in facts.hot:
        return None
    now = "" if facts.cpu_temperature_c is None else f" ({facts.cpu_temperature_c:.0f} °C)"
    return Stop(f"The processor is too hot{now}; work goes on below {wishes.resume_temperature_c:.0f} °C.")


def _on_battery(wishes: Wishes, facts: Facts) -> Stop | None:
    if wishes.on_battery or not facts.on_battery:
        return None
    return Stop("The computer runs on its battery.")


def _scheduled(wishes: Wishes, facts: Facts) -> Stop | None:
    now = _local(facts)
    if not wishes.schedule or any(span.ends_after(now) for span in wishes.schedule):
        return None
    begins = min(span.starts_after(now) for span in wishes.schedule).timestamp()
    return Stop(f"By your schedule, work goes on from {_when(begins, facts)}.", wishes.finish_current, begins)


def _quiet(wishes: Wishes, facts: Facts) -> Stop | None:
    return _within(wishes.quiet_hours, "Quiet hours last until {}.", wishes, facts)


def _expensive(wishes: Wishes, facts: Facts) -> Stop | None:
    return _within(wishes.expensive_hours, "Electricity is expensive until {}.", wishes, facts)


def _exclusive(wishes: Wishes, facts: Facts) -> Stop | None:
    """A program that is seen on a card withdraws only that card; anywhere else it wants the whole machine."""
    whole = [app.name for app in facts.exclusive if not _on_our_cards(app, facts)]
    return Stop(f"{whole[0]} is running, which you want to have the computer for itself.") if whole else None


def _full_screen(wishes: Wishes, facts: Facts) -> Stop | None:
    app = facts.full_screen
    if not wishes.pause_full_screen or app is None or _on_our_cards(app, facts):
        return None
    return Stop(f"{app.name or 'A program'} fills the screen.")


def _in_use(wishes: Wishes, facts: Facts) -> Stop | None:
    if not wishes.only_when_idle:
        return None
    if facts.idle_s is None:
        why = facts.idle_why or "no desktop session tells"
        return Stop(f"Work waits for the computer to be idle, and whether it is cannot be known: {why}.")
    if facts.idle_s < wishes.idle_after_s:
        return Stop(f"You are using the computer; work goes on after {_duration(wishes.idle_after_s)} without input.")
    return None


def _others_busy(wishes: Wishes, facts: Facts) -> Stop | None:
    if CPU not in facts.busy:
        return None
    return Stop(f"Other programs keep the processor busy by more than {wishes.busy_percent} %.")


RULES: tuple[Rule, ...] = (
    _switched_off,
    _too_hot,
    _on_battery,
    _scheduled,
    _quiet,
    _expensive,
    _exclusive,
    _full_screen,
    _in_use,
    _others_busy,
)


# --- rules for one card ---------------------------------------------------------------------------------------------


def card_reason(wishes: Wishes, facts: Facts, card: Card) -> str:
    """Why this card may not be used although the machine may; empty when it may be."""
    if not wishes.cards.get(card.uuid, CardWish()).use:
        return "You have switched this card off."
    if card.uuid in facts.hot:
        now = "" if card.temperature_c is None else f" ({card.temperature_c:.0f} °C)"
        return f"This card is too hot{now}; it is used again below {wishes.resume_temperature_c:.0f} °C."
    exclusive = [app.name for app in facts.exclusive if card.uuid in app.cards]
    if exclusive:
        return f"{exclusive[0]} is running on this card."
    full = facts.full_screen
    if wishes.pause_full_screen and full is not None and card.uuid in full.cards:
        return f"{full.name or 'A program'} fills the screen and uses this card."
    if card.uuid in facts.busy:
        return f"Other programs keep this card busy by more than {wishes.busy_percent} %."
    return ""


def _on_our_cards(app: App, facts: Facts) -> bool:
    return any(card.uuid in app.cards for card in facts.cards)


# --- time -----------------------------------------------------------------------------------------------------------


def _within(spans: tuple[Span, ...], sentence: str, wishes: Wishes, facts: Facts) -> Stop | None:
    ends = [end for span in spans if (end := span.ends_after(_local(facts))) is not None]
    if not ends:
        return None
    until = max(ends).timestamp()
    return Stop(sentence.format(_when(until, facts)), wishes.finish_current, until)


def _next_stop(wishes: Wishes, facts: Facts) -> float | None:
    """When the clock ends what is allowed now: the schedule's end, or the beginning of hours that are kept free."""
    now = _local(facts)
    ends = [end for span in wishes.schedule if (end := span.ends_after(now)) is not None]
    stops = [span.starts_after(now) for span in (*wishes.quiet_hours, *wishes.expensive_hours)]
    if ends:
        stops.append(max(ends))
    return min(stops).timestamp() if stops else None


def _local(facts: Facts) -> datetime:
    """The wall clock; aware of its zone only where a zone was given, so that arithmetic stays on the clock's face."""
    return datetime.fromtimestamp(facts.now, facts.zone)


def _when(at: float, facts: Facts) -> str:
    """ "14:30" today, else with the day: "Tuesday 07:00"."""
    moment, now = datetime.fromtimestamp(at, facts.zone), _local(facts)
    clock = f"{moment:%H:%M}"
    if moment.date() == now.date():
        return clock
    days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    soon = (moment.date() - now.date()).days < 7
    return f"{days[moment.weekday()]} {clock}" if soon else f"{moment:%Y-%m-%d} {clock}"


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"
