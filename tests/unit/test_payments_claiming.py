"""When vouchers are claimed: never at a loss, never too late for a withdrawal, else when it is cheap."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from depin_desktop.payments import policy
from depin_desktop.payments.policy import ClaimFees, ClaimReason, Unclaimed

DELAY_S = 900
RULES = policy.ClaimPolicy(max_fee_share=Fraction(1, 50))


def owing(amount: int, *, since: float = 0, withdrawing: bool = False, payer: str = "a") -> Unclaimed:
    return Unclaimed(payer, amount, since, DELAY_S, withdrawing)


def reason(
    *channels: Unclaimed, fixed: int = 0, each: int = 10, now: float = 1, draining: bool = False, cap: int = 0
) -> str | None:
    rules = policy.ClaimPolicy(max_fee_share=Fraction(1, 50), exposure_cap=cap)
    return policy.claim_reason(channels, rules, ClaimFees(fixed, each), now=now, draining=draining)


def test_claiming_waits_until_it_is_worth_its_fee() -> None:
    assert reason() is None
    assert reason(owing(0)) is None
    assert reason(owing(499)) is None
    assert reason(owing(500)) == "cheap"
    assert reason(owing(500), fixed=1) is None
    assert reason(owing(250), owing(250)) is None  # two claims, two fees
    assert reason(owing(1), each=0) == "cheap"


def test_what_presses_is_claimed_before_it_is_cheap() -> None:
    assert reason(owing(11, withdrawing=True)) == "withdrawal"
    assert reason(owing(20), draining=True) == "drain"
    assert reason(owing(60), owing(40, payer="a"), cap=100) == "exposure"
    assert reason(owing(60), owing(40, payer="b"), cap=100) is None
    assert reason(owing(20), now=299) is None
    assert reason(owing(20), now=300) == "age"


def test_nothing_presses_enough_to_be_claimed_at_a_loss() -> None:
    assert reason(owing(10, withdrawing=True)) is None
    assert reason(owing(20, withdrawing=True), fixed=10) is None
    assert reason(owing(9), draining=True) is None
    assert reason(owing(5), now=10_000) is None
    assert reason(*[owing(10)] * 20, cap=100) is None
    # Dust is left out, and does not hold up what is worth its fee.
    assert reason(owing(10), owing(500)) == "cheap"


def test_where_the_worth_of_gas_is_unknown_only_what_presses_is_claimed() -> None:
    unknown = ClaimFees(unknown=True)
    assert policy.claim_reason([owing(10**24)], RULES, unknown, now=1, draining=False) is None
    assert policy.claim_reason([owing(10**24)], RULES, unknown, now=300, draining=False) == "age"
    assert policy.claim_reason([owing(1, withdrawing=True)], RULES, unknown, now=1, draining=False) == "withdrawal"


amounts = st.integers(0, 10**6)
channels = st.lists(
    st.builds(
        Unclaimed, st.sampled_from("abc"), amounts, st.floats(0, 2000), st.sampled_from([900, 86_400]), st.booleans()
    ),
    max_size=8,
)
fees = st.builds(ClaimFees, st.integers(0, 10**5), st.integers(0, 10**4))


def decide(owed: list[Unclaimed], fee: ClaimFees, now: float, draining: bool, cap: int) -> ClaimReason | None:
    rules = policy.ClaimPolicy(exposure_cap=cap)
    return policy.claim_reason(owed, rules, fee, now=now, draining=draining)


@given(channels, fees, st.floats(2000, 10**6), st.booleans(), st.integers(0, 10**6))
def test_a_round_always_brings_more_than_it_costs(
    owed: list[Unclaimed], fee: ClaimFees, now: float, draining: bool, cap: int
) -> None:
    worth = [one for one in owed if fee.is_worth(one.amount)]
    gain = sum(one.amount for one in worth) - fee.of(len(worth))
    decision = decide(owed, fee, now, draining, cap)
    assert decision is None or gain > 0
    pressing = draining or any(one.withdrawing or now - one.since >= one.withdraw_delay_s / 3 for one in worth)
    if gain > 0 and pressing:
        assert (
            decision is not None
        )  # no withdrawal that begins now can end before a claim, and nothing is left at drain


@given(channels, st.floats(2000, 10**6), st.integers(1, 10**6))
def test_where_gas_is_free_everything_is_claimed_at_once(owed: list[Unclaimed], now: float, cap: int) -> None:
    decision = decide(owed, ClaimFees(), now, False, cap)
    assert (decision is not None) == any(one.amount for one in owed)


@given(channels, fees, st.floats(2000, 10**6), st.booleans(), st.integers(0, 10**6), amounts)
def test_more_money_never_makes_a_due_round_undue(
    owed: list[Unclaimed], fee: ClaimFees, now: float, draining: bool, cap: int, more: int
) -> None:
    if owed and decide(owed, fee, now, draining, cap) is not None and fee.is_worth(owed[0].amount):
        first = owed[0]
        richer = Unclaimed(first.payer, first.amount + more, first.since, first.withdraw_delay_s, first.withdrawing)
        assert decide([richer, *owed[1:]], fee, now, draining, cap) is not None
