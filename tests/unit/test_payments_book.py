"""A channel's arithmetic: whatever arrives in whatever order, no part of the money is charged twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from depin_desktop.payments import policy
from depin_desktop.payments.book import MAX_GAPS, Book

PRICES = st.lists(st.integers(1, 2**100), min_size=1, max_size=MAX_GAPS)


def vouchers(prices: list[int]) -> list[tuple[int, int]]:
    total, made = 0, []
    for price in prices:
        total += price
        made.append((total, price))
    return made


@given(PRICES)
def test_in_order_the_rule_is_x402s_total_equals_charged_plus_price(prices: list[int]) -> None:
    book = Book()
    for total, price in vouchers(prices):
        assert book.take(total - 1, price) is None
        taken = book.take(total, price)
        assert taken is not None
        assert taken == Book(total, total, ())
        book = taken


@given(PRICES, st.randoms(use_true_random=False))
def test_any_order_charges_everything_once_and_nothing_twice(prices: list[int], random) -> None:  # type: ignore[no-untyped-def]
    wanted = vouchers(prices)
    random.shuffle(wanted)
    book = Book()
    for total, price in wanted:
        taken = book.take(total, price)
        assert taken is not None
        assert taken.take(total, price) is None  # a replay
        assert taken.signed >= book.signed
        assert taken.charged == book.charged + price <= taken.signed
        book = taken
    assert book == Book(sum(prices), sum(prices), ())


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 10)), max_size=60))
def test_no_unit_is_ever_charged_twice(attempts: list[tuple[int, int]]) -> None:
    book, charged = Book(), set[int]()
    for total, price in attempts:
        units = set(range(total - price, total))
        taken = book.take(total, price)
        if taken is None:
            assert price > total or units & charged or price == 0
            continue
        assert not units & charged
        charged |= units
        assert taken.charged == len(charged)
        assert taken.signed >= max(charged, default=-1) + 1
        book = taken


def test_a_charge_below_the_voucher_leaves_the_rest_for_the_next() -> None:
    metered = Book().take(100, 30, agreed=100)
    assert metered == Book(100, 30, ((30, 100),))
    assert metered.take(130, 100) == Book(130, 130, ())


def test_gaps_beyond_the_limit_are_given_up_and_never_charged() -> None:
    book = Book()
    for index in range(1, MAX_GAPS + 3):
        taken = book.take(index * 10, 5)
        assert taken is not None
        book = taken
    assert len(book.gaps) == MAX_GAPS
    assert book.take(5, 5) is None
    assert book.charged == 5 * (MAX_GAPS + 2)


def test_nothing_is_charged_beyond_what_the_payer_agreed_to() -> None:
    assert Book().take(100, 51, agreed=50) is None
    assert Book().take(100, 101) is None


@given(
    price=st.integers(1, 10**24),
    missing=st.integers(1, 10**24),
    minimum=st.integers(0, 10**24),
    wished=st.integers(0, 10**24),
    allowed=st.integers(0, 10**25),
)
def test_a_deposit_covers_what_is_needed_and_stays_within_the_budget(
    price: int, missing: int, minimum: int, wished: int, allowed: int
) -> None:
    amount = policy.deposit_amount(
        price, missing=missing, minimum=minimum, wished=wished, allowed=allowed, policy=policy.DepositPolicy()
    )
    if amount is None:
        assert max(missing, minimum) > allowed
    else:
        assert max(missing, minimum) <= amount <= allowed
