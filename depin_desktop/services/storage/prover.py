"""Proves possession every period: pokes when nobody has, answers the challenges of all data sets, settles the pay.

One round asks the chain what each data set needs, does it, and says when to look again. What happened is taken from
receipts and from the contract's own record, never from having tried.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from depin_desktop.api.models import Activity
from depin_desktop.chain.bindings.deals import NextAction, Proof, Step
from depin_desktop.chain.calls import Call, Receipt
from depin_desktop.chain.reverts import Reverted
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import format_tokens
from depin_desktop.services.storage import policy
from depin_desktop.services.storage.challenges import Unprovable, answer
from depin_desktop.services.storage.deal_store import DataSet, DealStore, Outcome, SetState
from depin_desktop.services.storage.deals import Deals
from depin_desktop.services.storage.link import Link
from depin_desktop.services.storage.pieces import Pieces

log = logging.getLogger(__name__)

VIEWS_AT_ONCE = 16
NEVER = 2**64 - 1
OPENING_LIFE_S = 3600


@dataclass(frozen=True)
class Round:
    """What one round found; times on the chain's clock.

    Attributes:
        next_look_s: seconds until something may be due.
        next_proof_at: when the next challenge window opens for us, None without data sets.
        period: the present one.
        unused: data sets that are empty and may be ended.
        unprovable: data sets of which a challenged piece could not be shown in this period.
    """

    next_look_s: float
    next_proof_at: float | None = None
    period: int = 0
    unused: frozenset[str] = frozenset()
    unprovable: frozenset[str] = frozenset()


class Prover:
    """The proofs of one provider.

    Args:
        publish: hands an activity to the owner.
        clock: the wall clock, for records; everything that is due is reckoned in the chain's time.
    """

    def __init__(
        self,
        store: DealStore,
        deals: Deals,
        pieces: Pieces,
        *,
        publish: Callable[[Activity], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._deals = deals
        self._pieces = pieces
        self._publish = publish
        self._clock = clock
        self._failures = 0
        self._settled_at = 0.0  # on the chain's clock
        self._followed: dict[str, int] = {}  # the period in which each set's rows were last brought into line
        self._confirmed: dict[str, int] = {}
        self._unprovable: set[tuple[str, int]] = set()  # told once a period
        self.problem = ""
        """Why proving did not work last time, empty when it did."""
        self.missed_at: float | None = None
        """When a missed proof was noticed; None once a later period was proven."""

    async def round(self, link: Link) -> Round:
        """Does what is due now. Failures are kept in `problem` and shorten the wait; this never raises."""
        try:
            result = await self._round(link)
        except UserFacingError as error:
            self._failures += 1
            self.problem = str(error)
            log.warning("proving failed (%d in a row): %s", self._failures, error)
            return Round(policy.retry_s(self._failures, link.schedule.window_s))
        self._failures, self.problem = 0, ""
        return result

    async def _round(self, link: Link) -> Round:
        now = await link.chain.now()
        period = link.schedule.period_at(now)
        sets = await self._follow(link, period)
        if not sets:
            await self._settle(link, now, running=False)
            return Round(policy.next_round_s((), now, period_s=link.schedule.period_s), period=period)
        actions = await self._ask(link, sets)
        if any(action.step is Step.POKE for action in actions.values()):
            delay = policy.poke_delay_s(link.provider, period, link.schedule.window_s)
            opened = link.schedule.window_of(period)
            if now < opened + delay and now + delay < link.schedule.start_of(period + 1):
                return Round(max(1.0, opened + delay - now), opened)
            await self._poke(link, period)
            actions = await self._ask(link, sets)
        due = [one for one in sets if actions[one.id].step is Step.PROVE]
        await self._prove(link, period, due)
        await self._look_back(link, sets, period)
        for one in sets:
            if actions[one.id].step is Step.RETURN:  # ended at once, by somebody else
                await self._deals.follow(link, bytes.fromhex(one.id))
        await self._settle(link, now, running=True)
        return self._next(link, now, period, actions)

    def _next(self, link: Link, now: int, period: int, actions: dict[str, NextAction]) -> Round:
        coming = [a.not_before for a in actions.values() if a.step is Step.NOTHING and a.not_before != NEVER]
        tried = any(action.step in (Step.POKE, Step.PROVE) for action in actions.values())
        window, period_s = link.schedule.window_of(period), link.schedule.period_s
        moments: list[float] = [moment for moment in coming if moment > now]
        # A data set whose last period is proven names that period's end, when its escrow can go back.
        windows = [moment for moment in moments if (moment - window) % period_s == 0]
        if tried:
            # Proven just now: the next window. Where a piece could not be shown, its disk may come back: again soon.
            windows.append(now + link.schedule.window_s / 4 if self._unprovable else window + period_s)
        return Round(
            policy.next_round_s([*moments, *windows], now, period_s=period_s),
            min(windows, default=None),
            period,
            frozenset(set_id for set_id, action in actions.items() if action.step is Step.END),
            frozenset(set_id for set_id, _ in self._unprovable),
        )

    # --- what there is

    async def _follow(self, link: Link, period: int) -> list[DataSet]:
        """Our data sets, brought into line with the chain once a period; those that the chain has are returned."""
        found: list[DataSet] = []
        for one in await self._store.sets():
            set_id = bytes.fromhex(one.id)
            known = one.state is not SetState.OPENING
            # A change that waits for its transaction must not make the proof wait too.
            if known and (self._followed.get(one.id) == period or self._deals.is_changing(set_id)):
                found.append(one)
                continue
            row = await self._deals.follow(link, set_id)
            if row is None:
                await self._forget_unopened(one)
            else:
                self._followed[one.id] = period
                if row.state is not SetState.ENDED:
                    found.append(row)
        return found

    async def _forget_unopened(self, one: DataSet) -> None:
        """A data set that was never opened is dropped once no transaction of it can be under way any more."""
        started = self._followed.setdefault(f"opening/{one.id}", int(self._clock()))
        if one.state is SetState.OPENING and self._clock() - started > OPENING_LIFE_S:
            await self._store.drop(one.id)

    async def _ask(self, link: Link, sets: Sequence[DataSet]) -> dict[str, NextAction]:
        gate = asyncio.Semaphore(VIEWS_AT_ONCE)

        async def ask(one: DataSet) -> NextAction:
            async with gate:
                return await link.chain.deals.next_action(bytes.fromhex(one.id))

        found = await asyncio.gather(*(ask(one) for one in sets))
        return {one.id: action for one, action in zip(sets, found, strict=True)}

    # --- what is done

    async def _poke(self, link: Link, period: int) -> None:
        try:
            await self._send_once(link, link.chain.deals.poke(), f"poke/{period}", "fix the period's seed", period)
        except Reverted as error:
            if error.name not in ("AlreadySeeded", "WindowClosed"):
                raise
            log.info("no poke needed: %s", error.name)

    async def _send_once(self, link: Link, call: Call, name: str, purpose: str, period: int) -> Receipt:
        """Sends what is of use in `period` only; a try after a time-out waits for the first one and pays nothing.

        A chain that was set back asks again for what it had confirmed: then, and only then, it is sent again.
        """
        times = self._confirmed.get(name, 0)
        left = link.schedule.start_of(period + 1) - await link.chain.now()
        key = f"storage/{name}/{times}"
        receipt = await link.sender.send(call, purpose=purpose, key=key, timeout_s=max(5.0, left))
        if len(self._confirmed) >= 1000:
            self._confirmed.clear()
        self._confirmed[name] = times + 1
        return receipt

    async def _prove(self, link: Link, period: int, due: Sequence[DataSet]) -> None:
        self._unprovable = {key for key in self._unprovable if key[1] == period}
        for at in range(0, len(due), policy.SETS_PER_PROOF):
            proofs = await self._proofs(link, period, due[at : at + policy.SETS_PER_PROOF])
            await self._send(link, period, proofs)

    async def _proofs(self, link: Link, period: int, due: Sequence[DataSet]) -> list[Proof]:
        built = await asyncio.gather(*(self._proof(link, one) for one in due), return_exceptions=True)
        proofs = []
        for one, result in zip(due, built, strict=True):
            if isinstance(result, Proof):
                proofs.append(result)
                self._unprovable.discard((one.id, period))
            elif isinstance(result, Unprovable):
                self._tell_unprovable(one, period, str(result))
            elif isinstance(result, BaseException):
                raise result
        return proofs

    async def _proof(self, link: Link, one: DataSet) -> Proof | None:
        set_id = bytes.fromhex(one.id)
        asked = await link.chain.deals.challenges(set_id)
        if not asked:
            return None
        return await answer(self._pieces, set_id, await self._store.pieces(one.id), asked)

    def _tell_unprovable(self, one: DataSet, period: int, why: str) -> None:
        log.error("set %s cannot be proven in period %d: %s", one.id, period, why)
        if (one.id, period) not in self._unprovable:
            self._unprovable.add((one.id, period))
            self._publish(
                Activity(
                    at=self._clock(),
                    kind="fault",
                    title="A proof cannot be given",
                    detail=f"{why[:1].upper()}{why[1:]}.",
                )
            )

    async def _send(self, link: Link, period: int, proofs: list[Proof]) -> None:
        """Sends one batch; a set that the contract refuses is left out and the rest tried again."""
        while proofs:
            call = link.chain.deals.prove(proofs)
            purpose = f"prove {len(proofs)} data sets in period {period}"
            try:
                name = f"prove/{sha256(call.data).hexdigest()}"
                receipt = await self._send_once(link, call, name, purpose, period)
            except Reverted as error:
                refused = error.values.get("set_id")
                rest = [proof for proof in proofs if proof.set_id != refused]
                if len(rest) == len(proofs):
                    raise  # not about one of these sets: it is tried again, never acted on
                log.warning("the contract leaves out set %s: %s", bytes(refused or b"").hex(), error)
                self._followed.pop(bytes(refused or b"").hex(), None)
                proofs = rest
            else:
                await self._proven(period, receipt)
                return

    async def _proven(self, period: int, receipt: Receipt) -> None:
        now, tx = self._clock(), "0x" + receipt.tx.hex()
        outcomes = [
            Outcome(e.args["period"], e.args["set_id"].hex(), True, now, e.args["paid"], tx)
            for e in receipt.events
            if e.name == "Proven" and e.contract == "deals"
        ]
        await self._store.record(outcomes)
        for outcome in outcomes:
            await self._note_proven(outcome.set_id, outcome.period, now, outcome.paid)
        paid = sum(outcome.paid for outcome in outcomes)
        if outcomes:
            self.missed_at = None
            number = f"{len(outcomes)} data set{'s' if len(outcomes) > 1 else ''}"
            self._publish(
                Activity(at=now, kind="proof", title=f"Proved {number}", detail=f"Period {period}.", amount=paid)
            )

    async def _note_proven(self, set_id: str, period: int, at: float, paid: int) -> None:
        row = await self._store.get(set_id)
        if row is not None:
            changed = replace(row, proven_period=period, proven_at=at, paid=row.paid + paid, escrow=row.escrow - paid)
            await self._store.save(changed)

    async def _look_back(self, link: Link, sets: Sequence[DataSet], period: int) -> None:
        """Records how the last period ended for sets of which no proof of ours is known."""
        last = period - 1
        for one in sets:
            if one.first_due is None or one.first_due > last or await self._store.outcome(last, one.id) is not None:
                continue
            proven = await link.chain.deals.is_proven(bytes.fromhex(one.id), last)
            now = self._clock()
            detail = "" if proven else f"Set {one.id[:8]} was not proven in period {last}."
            await self._store.record([Outcome(last, one.id, proven, now, detail=detail)])
            if not proven:
                self.missed_at = now
                self._publish(Activity(at=now, kind="fault", title="A proof was missed", detail=detail))

    async def _settle(self, link: Link, now: int, *, running: bool) -> None:
        owed = await link.chain.deals.owed(link.provider)
        every_s = policy.settle_every_s(link.schedule.period_s, private=link.network.private)
        if not owed or (running and now - self._settled_at < every_s):
            return
        call = link.chain.deals.settle(link.provider)
        try:
            fee = await link.fee(call)
            proofs = await self._store.proofs_behind(owed) if fee is None else 0
            if not policy.worth_settling(owed, fee, proofs=proofs, running=running):
                return
            await link.sender.send(call, purpose="settle storage pay")
        except Reverted as error:
            if error.name != "NothingOwed":
                raise
            return
        self._settled_at = now
        title = f"{format_tokens(owed)} {link.network.symbol} paid out"
        self._publish(Activity(at=self._clock(), kind="paid", title=title, detail="For stored data.", amount=owed))
