"""Sizes, token amounts, rates and ages: parsed from what people type, printed as people read them."""

from __future__ import annotations

import re
from decimal import ROUND_DOWN, ROUND_UP, Context, Decimal, InvalidOperation

from depin_desktop.core.errors import UserFacingError

TOKEN_DECIMALS = 18
BASE_UNITS_PER_TOKEN = 10**TOKEN_DECIMALS
SECONDS_PER_MONTH = 30 * 24 * 3600
TIB = 2**40
GIB = 2**30
MIB = 2**20

_SIZE = re.compile(r"^\s*(\d+(?:[.,]\d+)?)\s*([kmgtp]?)(i?)b?\s*$", re.IGNORECASE)
_POWER = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_EXACT = Context(prec=100)  # 2^256 base units have 78 digits; the default of 28 would round
_THIN_SPACE = "\u2009"


def parse_size(text: str) -> int:
    """Bytes meant by `text`: "5GiB", "500 MB", "1.5t", "4096".

    Raises:
        UserFacingError: the text is not a size.
    """
    match = _SIZE.match(text)
    if match is None:
        raise UserFacingError(
            f"“{text}” is not a size.", "Write a number with a unit, such as 500MB or 5GiB.", code="bad-size"
        )
    number, prefix, binary = match.groups()
    base = 1024 if binary else 1000
    return int(Decimal(number.replace(",", ".")) * base ** _POWER[prefix.lower()])


def format_size(count: int) -> str:
    """`count` bytes in the decimal units that disks are sold in: 1 420 000 000 000 → "1.42 TB"."""
    value = Decimal(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(value) < 1000:
            digits = 0 if unit == "B" or abs(value) >= 100 else 1 if abs(value) >= 10 else 2
            return f"{value:.{digits}f} {unit}"
        value /= 1000
    return f"{value:.2f} PB"


def format_rate(bytes_per_second: float) -> str:
    """A transfer rate in bytes per second: 41.2e6 → "41.2 MB/s"."""
    return f"{format_size(int(bytes_per_second))}/s"


def parse_tokens(text: str) -> int:
    """Base units meant by a decimal token amount such as "2.5", also with spaces between thousands.

    Raises:
        UserFacingError: not a non-negative decimal, or finer than one base unit.
    """
    try:
        value = Decimal("".join(text.split()).replace(",", "."))
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value < 0:
        raise UserFacingError(f"“{text}” is not an amount.", "Write a number such as 2.5.", code="bad-amount")
    scaled = value.scaleb(TOKEN_DECIMALS, _EXACT)
    if scaled != scaled.to_integral_value(context=_EXACT):
        raise UserFacingError(
            f"“{text}” is finer than the token allows.", f"Use at most {TOKEN_DECIMALS} decimals.", code="bad-amount"
        )
    return int(scaled)


def format_tokens(base_units: int, *, significant: int = 3, up: bool = False) -> str:
    """A token amount without its symbol, never rounded up but where `up` says so: for what is paid at most.

    From 1 upwards two decimals; below it as many as `significant` digits need, so that small earnings are not shown
    as zero: 0.0000342 stays readable while 1 204.77 stays calm.
    """
    value = Decimal(base_units).scaleb(-TOKEN_DECIMALS, _EXACT)
    if value == 0:
        return "0.00"
    magnitude = abs(value)
    decimals = 2 if magnitude >= 1 else min(TOKEN_DECIMALS, significant - 1 - magnitude.adjusted())
    rounding = ROUND_UP if up else ROUND_DOWN
    rounded = value.quantize(Decimal(1).scaleb(-max(decimals, 2)), rounding=rounding, context=_EXACT)
    return f"{rounded:,f}".replace(",", _THIN_SPACE)


def format_age(seconds: float) -> str:
    """How long ago, in the coarsest unit that is still useful: "just now", "4 min ago", "3 h ago", "2 days ago"."""
    whole = max(0, int(seconds))
    if whole < 5:
        return "just now"
    if whole < 60:
        return f"{whole} s ago"
    if whole < 3600:
        return f"{whole // 60} min ago"
    if whole < 86_400:
        return f"{whole // 3600} h ago"
    days = whole // 86_400
    return f"{days} day{'s' if days > 1 else ''} ago"
