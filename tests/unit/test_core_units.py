import pytest
from hypothesis import given
from hypothesis import strategies as st

from depin_desktop.core import units
from depin_desktop.core.errors import UserFacingError


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5GiB", 5 * 2**30), ("500 MB", 500_000_000), ("1.5t", 1_500_000_000_000), ("4096", 4096), ("1,5 KiB", 1536)],
)
def test_sizes_are_understood_as_people_write_them(text: str, expected: int) -> None:
    assert units.parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "five", "-1GB", "5 apples", "1e9", "nan"])
def test_a_text_that_is_no_size_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(UserFacingError) as caught:
        units.parse_size(text)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 B"), (999, "999 B"), (1_420_000_000_000, "1.42 TB"), (41_200_000, "41.2 MB"), (3 * 10**15, "3.00 PB")],
)
def test_sizes_are_printed_in_the_units_disks_are_sold_in(count: int, expected: str) -> None:
    assert units.format_size(count) == expected


@pytest.mark.parametrize(
    ("base_units", "expected"),
    [
        (0, "0.00"),
        (13_880_000_000_000_000_000, "13.88"),
        (1_204_779_999_999_999_999_999, "1\u2009204.77"),
        (34_200_000_000_000, "0.0000342"),
        (1, "0.000000000000000001"),
    ],
)
def test_small_earnings_stay_readable_and_nothing_is_rounded_up(base_units: int, expected: str) -> None:
    assert units.format_tokens(base_units) == expected


@given(st.integers(min_value=0, max_value=10**30))
def test_an_amount_rounded_up_is_never_less_and_at_most_one_digit_more(base_units: int) -> None:
    low, high = (units.parse_tokens(units.format_tokens(base_units, up=up)) for up in (False, True))
    assert low <= base_units <= high
    assert high - low <= max(10**16, base_units // 100)


@given(st.integers(min_value=0, max_value=10**30))
def test_an_amount_survives_being_written_and_read(base_units: int) -> None:
    whole, fraction = divmod(base_units, 10**18)
    written = f"{whole}.{fraction:018d}"
    assert units.parse_tokens(written) == base_units


def test_an_amount_is_read_as_it_is_shown() -> None:
    shown = units.format_tokens(1_204_770_000_000_000_000_000)
    assert units.parse_tokens(f" {shown}\n") == 1_204_770_000_000_000_000_000


@pytest.mark.parametrize("text", ["", "-1", "NaN", "Infinity", "ten", "0.0000000000000000001"])
def test_bad_amounts_are_refused(text: str) -> None:
    with pytest.raises(UserFacingError):
        units.parse_tokens(text)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-3, "just now"),
        (7, "7 s ago"),
        (240, "4 min ago"),
        (7300, "2 h ago"),
        (90_000, "1 day ago"),
        (2e5, "2 days ago"),
    ],
)
def test_ages(seconds: float, expected: str) -> None:
    assert units.format_age(seconds) == expected
