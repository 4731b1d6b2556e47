"""What each wish does on this machine now, one sentence each: shown beside the wish by the app and the command line."""

from __future__ import annotations

from depin_desktop.api.controls import Wishes
from depin_desktop.api.week import format_spans
from depin_desktop.controls import policy
from depin_desktop.controls.facts import Facts
from depin_desktop.core.units import format_size


def effects(wishes: Wishes, facts: Facts) -> dict[str, str]:
    """Sentences by the wish's name."""
    threads, memory = policy.cpu_threads(wishes, facts), policy.memory_bytes(wishes, facts)
    vram = policy.vram_bytes(wishes, facts.cards)
    return {
        "cpu_percent": f"Work uses at most {threads} of {facts.cpu_threads} thread{_s(facts.cpu_threads)}.",
        "memory_bytes": f"Work uses at most {format_size(memory)} of {format_size(facts.memory_bytes)} of memory.",
        "disk_bytes": "Models and jobs take what the disk has free."
        if wishes.disk_bytes is None
        else f"Models and jobs take at most {format_size(wishes.disk_bytes)} of the disk.",
        "vram_percent": "No card has memory of its own here."
        if vram is None
        else f"Work uses at most {format_size(vram)} of each card's memory.",
        "max_temperature_c": _heat(wishes, facts),
        "only_when_idle": _idle(wishes, facts),
        "on_battery": _battery(wishes, facts),
        "busy_percent": _busy(wishes, facts),
        "exclusive_apps": _exclusive(wishes, facts),
        "pause_full_screen": "Work stops while a program fills the screen; only on its card, where that is known."
        if wishes.pause_full_screen
        else "Work goes on while a program fills the screen.",
        "schedule": f"Work runs {format_spans(wishes.schedule)}." if wishes.schedule else "Work runs at any time.",
        "quiet_hours": _never(format_spans(wishes.quiet_hours), "quiet"),
        "expensive_hours": _never(format_spans(wishes.expensive_hours), "expensive"),
        "finish_current": "When allowed hours end, what runs is finished first."
        if wishes.finish_current
        else "When allowed hours end, what runs is stopped at once.",
    }


def _heat(wishes: Wishes, facts: Facts) -> str:
    if wishes.max_temperature_c is None:
        return "Heat never stops work; processor and cards protect only themselves."
    known = [f"{celsius:.0f} °C" for celsius in (facts.cpu_temperature_c,) if celsius is not None]
    known += [f"{card.name} {card.temperature_c:.0f} °C" for card in facts.cards if card.temperature_c is not None]
    now = f"; now {', '.join(known)}" if known else "; nothing here shows its temperature"
    return (
        f"Work stops above {wishes.max_temperature_c:.0f} °C and goes on"
        f" below {wishes.resume_temperature_c:.0f} °C{now}."
    )


def _idle(wishes: Wishes, facts: Facts) -> str:
    if not wishes.only_when_idle:
        return "Work also runs while you use the computer."
    now = f"whether it is now is not known: {facts.idle_why}" if facts.idle_why else "whether it is now is not known"
    if facts.idle_s is not None:
        now = "it is idle now" if facts.idle_s >= wishes.idle_after_s else "it is in use now"
    return f"Work runs only after {wishes.idle_after_s / 60:.3g} min without input; {now}."


def _battery(wishes: Wishes, facts: Facts) -> str:
    if wishes.on_battery:
        return "Work also runs on the battery."
    now = {None: "no battery is seen here", True: "it does now", False: "it is on mains power now"}[facts.on_battery]
    return f"Work stops while the computer runs on its battery; {now}."


def _busy(wishes: Wishes, facts: Facts) -> str:
    if wishes.busy_percent is None:
        return "Work does not give way to other programs' load; the system shares the processor between them."
    now = "" if facts.others_percent is None else f"; now they use {facts.others_percent:.0f} %"
    return f"Work stops while other programs use more than {wishes.busy_percent} % of the processor or a card{now}."


def _exclusive(wishes: Wishes, facts: Facts) -> str:
    if not wishes.exclusive_apps:
        return "No program has the computer for itself."
    running = sorted({app.name for app in facts.exclusive})
    now = f"; now {', '.join(running)} runs" if running else "; none of them runs now"
    return f"Work stops while {', '.join(wishes.exclusive_apps)} runs, on its card where that is known{now}."


def _never(spans: str, kind: str) -> str:
    return f"Work never runs {spans}." if spans else f"No hours are {kind}."


def _s(count: int) -> str:
    return "" if count == 1 else "s"
