"""The local API's looks: a step of the owner's, named by a program of its user, as `wallet.looks` sees it."""

from __future__ import annotations

from depin_desktop.api.wallet import Look, LookAt, StepKind
from depin_desktop.core.addresses import parse_address
from depin_desktop.core.errors import UserFacingError
from depin_desktop.wallet.looks import Looks, Step

RECEIVED = frozenset({StepKind.SEND, StepKind.SEND_COIN, StepKind.PAYOUT})  # what has a receiver


async def look(looks: Looks, request: LookAt) -> Look:
    """What the step would do and cost.

    Raises:
        UserFacingError: it cannot be taken, or there is nothing to do ("nothing-to-do").
    """
    step = await _step(looks, request)
    if step is None:
        raise UserFacingError(
            "There is nothing to do: it is so already.", "", code="nothing-to-do", status=409
        )  # a budget that is held, or nothing that has thawed
    return Look(
        kind=request.kind,
        to=step.to,
        amount=step.amount,
        highest_fee=step.highest_fee,
        fee_worth=looks.chain.network.fee_in_token(step.highest_fee),
        coin_left=step.coin_left,
        notes=step.notes,
        ends=step.ends,
    )


async def _step(looks: Looks, request: LookAt) -> Step | None:
    to = parse_address(request.to) if request.kind in RECEIVED else ""
    match request.kind:
        case StepKind.SEND:
            return await looks.send(to, request.amount)
        case StepKind.SEND_COIN:
            return await looks.send_coin(to, request.amount)
        case StepKind.BUDGET:
            return await looks.set_budget(request.amount or 0)
        case StepKind.STAKE:
            return await looks.stake(request.amount)
        case StepKind.UNSTAKE:
            return await looks.begin_thaw(request.amount)
        case StepKind.WITHDRAW:
            return await looks.end_of_thaw()
        case StepKind.PAYOUT:
            return await looks.set_payout(to)
