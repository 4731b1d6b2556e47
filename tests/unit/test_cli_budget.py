"""Deposits are shown before they are signed."""

from __future__ import annotations

from depin_desktop.cli.budget import asking, up_to
from depin_desktop.payments.payer import TopUp

WISH = TopUp("0x" + "ab" * 20, 16 * 10**17, 10**18)


async def test_a_deposit_is_asked_for_with_its_amount_and_what_was_deposited_before() -> None:
    asked: list[str] = []

    def no(question: str) -> bool:
        asked.append(question)
        return False

    ask = asking(no).ask
    assert ask is not None
    assert not await ask(WISH)
    assert "1.6" in asked[0]
    assert WISH.provider in asked[0]
    assert "(1.00 deposited so far" in asked[0]


async def test_a_script_is_told_and_goes_on(capsys) -> None:
    ask = asking().ask
    assert ask is not None
    assert await ask(WISH)
    told = capsys.readouterr()
    assert told.out == ""
    assert "Deposit 1.6" in told.err


async def test_a_process_may_deposit_up_to_its_allowance_without_asking(capsys) -> None:
    ask = up_to(2 * WISH.amount + 1).ask
    assert ask is not None
    assert [await ask(WISH) for _ in range(3)] == [True, True, False]
    assert capsys.readouterr().err.count("Deposit 1.6") == 3
