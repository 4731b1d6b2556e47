"""The loop that decides: wishes and facts in, an allowance out, and everybody told who follows it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from depin_desktop.api.controls import CardStatus, ControlsStatus, Pause, Presence, SetPause, Wishes
from depin_desktop.api.models import Activity
from depin_desktop.controls import hysteresis, policy
from depin_desktop.controls.allowance import Allowance
from depin_desktop.controls.effects import effects
from depin_desktop.controls.facts import Facts
from depin_desktop.controls.kept import Kept
from depin_desktop.controls.observer import Observer, Sources
from depin_desktop.controls.power import PowerLimits
from depin_desktop.controls.presence import Presences
from depin_desktop.core.bus import EventBus
from depin_desktop.core.tasks import Cycle, Tasks

log = logging.getLogger(__name__)

TOPIC = "controls"
INTERVAL_S = 1.0  # how late a snooze, a schedule or a word that grew old may be noticed; changes are noticed at once
UNSEEN_INTERVAL_S = 2.0
SHOWN_EVERY_S = 2.0  # readings alone are published no more often

Callback = Callable[[Allowance], None]


class Controls:
    """One machine's controls: keeps the wishes, watches the facts, publishes what is allowed."""

    def __init__(
        self, path: Path, bus: EventBus, *, sharing: Callable[[], bool], sources: Sources | None = None
    ) -> None:
        self.cycle = Cycle("controls", INTERVAL_S, self._round)
        self._path = path
        self._kept = Kept.load(path)
        self._bus = bus
        self._sharing = sharing
        self._presences = Presences(time.monotonic)
        self.observer = Observer(lambda: self._kept.wishes, self._presences, self.decide, sources)
        self._power = PowerLimits(self.observer.sources.set_power_limit)
        self._memory = hysteresis.Memory()
        self._facts = Facts(now=time.time())
        self._allowance = Allowance.stopped("The engine is starting.")
        self._callbacks: list[Callback] = []
        self._decided = False
        self._published: ControlsStatus | None = None
        self._published_at = float("-inf")
        self._saving = asyncio.Lock()
        self._tasks = Tasks("controls")

    async def start(self) -> None:
        """Begins to watch and decides for the first time."""
        await self.observer.start()
        self.decide()
        self._tasks.spawn("decide", self.cycle.run())

    async def stop(self) -> None:
        """Stops watching and gives cards their own power limits back; the allowance stays as it was."""
        await self._tasks.close()
        await self._power.restore()
        await self.observer.stop()

    # --- what services follow

    def allowance(self) -> Allowance:
        """What may be used now."""
        return self._allowance

    def on_change(self, callback: Callback) -> None:
        """Calls `callback` from the event loop, at once after each change of the allowance."""
        self._callbacks.append(callback)

    # --- what the owner does

    async def set_wishes(self, wishes: Wishes) -> ControlsStatus:
        return await self._keep({"wishes": wishes})

    async def pause(self, request: SetPause) -> ControlsStatus:
        until = None if request.seconds is None else time.time() + request.seconds
        return await self._keep({"pause": Pause(until=until, finish_current=request.finish_current)})

    async def resume(self) -> ControlsStatus:
        """Takes the owner's pause back; other reasons stay."""
        return await self._keep({"pause": None})

    def note_presence(self, presence: Presence) -> None:
        """A desktop session told of its user."""
        self._presences.note(presence)
        self.decide()

    async def _keep(self, change: dict[str, object]) -> ControlsStatus:
        async with self._saving:  # two changes at once must both end up in the file
            kept = self._kept.model_copy(update=change)
            await asyncio.to_thread(kept.save, self._path)
            self._kept = kept
        self.observer.look_again()
        self.decide()
        return self.status()

    # --- deciding

    def decide(self) -> None:
        """Decides anew from what is known; tells whoever follows, where something has changed."""
        kept = self._kept
        facts = self.observer.facts(sharing=self._sharing())
        self._memory = hysteresis.remember(kept.wishes, facts, self._memory)
        self._facts = replace(facts, hot=frozenset(self._memory.hot), busy=self._memory.busy)
        before, self._allowance = self._allowance, policy.decide(kept.wishes, self._facts, kept.pause)
        if self._allowance != before:
            self._tell(before)
        self._decided = True
        self._publish(at_once=self._allowance != before)

    def _tell(self, before: Allowance) -> None:
        now = self._allowance
        if now.run != before.run or now.reason != before.reason:
            log.info("work %s", "may run" if now.run else f"stops: {now.reason}")
        if now.run != before.run and self._decided:
            title = "Work goes on" if now.run else "Work is paused"
            self._bus.publish("activity", Activity(at=time.time(), kind="controls", title=title, detail=now.reason))
        for callback in self._callbacks:
            try:
                callback(now)
            except Exception:
                log.exception("a service could not follow the owner's controls")

    def _publish(self, *, at_once: bool) -> None:
        now = time.monotonic()
        if not self._bus.wanted(TOPIC) or (not at_once and now - self._published_at < SHOWN_EVERY_S):
            return
        status = self.status()
        if status != self._published:
            self._published, self._published_at = status, now
            self._bus.publish(TOPIC, status)

    async def _round(self) -> None:
        pause = self._kept.pause
        if pause is not None and pause.until is not None and pause.until <= time.time():
            await self._keep({"pause": None})
        self.decide()
        self.cycle.interval_s = INTERVAL_S if self._bus.wanted(TOPIC) else UNSEEN_INTERVAL_S
        await self._power.follow(self._kept.wishes, self.observer.gpus)

    def status(self) -> ControlsStatus:
        """Everything the controls show, as last decided."""
        wishes, facts, allowed = self._kept.wishes, self._facts, self._allowance
        machine = self.observer.machine()
        reasons = {card.uuid: policy.card_reason(wishes, facts, card) for card in facts.cards}
        return ControlsStatus(
            wishes=wishes,
            pause=self._kept.pause,
            run=allowed.run,
            reason=allowed.reason,
            until=allowed.until,
            finish_current=allowed.finish_current,
            cpu_threads=allowed.cpu_threads,
            memory_bytes=allowed.memory_bytes,
            vram_bytes=allowed.vram_bytes,
            cards=tuple(
                CardStatus(
                    gpu=gpu,
                    allowed=gpu.uuid in allowed.gpus,
                    reason=reasons.get(gpu.uuid, "") or allowed.reason,
                    detail=self._power.details.get(gpu.uuid, ""),
                )
                for gpu in self.observer.gpus
            ),
            cpu_load_percent=machine.cpu_percent,
            memory_used_bytes=machine.memory_used_bytes,
            cpu_temperature_c=facts.cpu_temperature_c,
            on_battery=facts.on_battery,
            idle_s=facts.idle_s,
            effects=effects(wishes, facts),
            unknown=self.observer.unknown(),
        )
