"""How the app says things: translation, times, addresses. Amounts and sizes are formatted by `core.units` alone."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QDateTime, QLocale

from depin_desktop.core.units import format_age, format_tokens

NBSP = "\u00a0"
DAY_S = 86_400


@dataclass(frozen=True)
class Words:
    """A text, the tone it is said in, and what hovering adds."""

    text: str
    tone: str = "text"  # text | muted | faint | accent | info | warning | fault
    tip: str = ""


def tr(text: str, **values: object) -> str:
    """`text` in the owner's language, with its {placeholders} filled in afterwards."""
    translated = QCoreApplication.translate("app", text)
    return translated.format(**values) if values else translated


def named(text: str) -> str:
    """A name from outside for the screen. The font's own hyphen is as wide as a digit, for columns of figures."""
    return text.replace("-", "\u2010")


def counted(count: int, one: str, many: str) -> str:
    """“1 piece”, “3 pieces”: `one` and `many` are already translated nouns."""
    return f"{count:,}".replace(",", "\u2009") + NBSP + (one if count == 1 else many)


def age(now: float, at: float | None) -> str:
    """How long ago `at` was, in the coarsest useful unit; a dash where it never happened."""
    return "–" if at is None else format_age(now - at)


def when(now: float, at: float | None) -> str:
    """A relative time up to a day, the date after that."""
    if at is None:
        return "–"
    if now - at < DAY_S:
        return format_age(now - at)
    return date(at)


def ahead(seconds: float) -> str:
    """A time still to come: "in 12 min", "now"."""
    whole = int(seconds)
    if whole <= 0:
        return tr("now")
    if whole < 60:
        return tr("in {n} s", n=whole)
    if whole < 3600:
        return tr("in {n} min", n=round(whole / 60))
    if whole < 2 * DAY_S:
        return tr("in {n} h", n=round(whole / 3600))
    return tr("in {n} days", n=round(whole / DAY_S))


def moment(at: float) -> QDateTime:
    """`at` (Unix seconds) as local time."""
    return QDateTime.fromSecsSinceEpoch(int(at))


def clock(at: float) -> str:
    """The local time of day, as the system writes it: "20:41"."""
    return QLocale().toString(moment(at).time(), QLocale.FormatType.ShortFormat)


def day(at: float) -> str:
    """The local day in short: "24 Oct"."""
    return QLocale().toString(moment(at).date(), "d MMM")


def date(at: float) -> str:
    """The local day without its year when that is obvious: "24 Oct"."""
    return QLocale().toString(moment(at).date(), "d MMM yyyy" if _other_year(at) else "d MMM")


def _other_year(at: float) -> bool:
    return moment(at).date().year() != QDateTime.currentDateTime().date().year()


def full_time(at: float | None) -> str:
    """The whole of a time, for tooltips: "Saturday 22 November 2025, 20:41:05 GMT+1"; empty for None."""
    if at is None:
        return ""
    local = moment(at)
    return f"{QLocale().toString(local, 'dddd d MMMM yyyy, HH:mm:ss')} {local.timeZoneAbbreviation()}"


def short_address(address: str) -> str:
    """Enough of an address to recognise it; the whole one belongs in a tooltip."""
    return address if len(address) <= 13 else f"{address[:6]}…{address[-4:]}"


def grouped_address(address: str) -> list[str]:
    """An address in groups of four behind its 0x, for reading aloud and comparing."""
    digits = address.removeprefix("0x")
    return [digits[at : at + 4] for at in range(0, len(digits), 4)]


def exact_amount(base_units: int, symbol: str) -> str:
    """Every digit of an amount, for tooltips and exports."""
    sign = "-" if base_units < 0 else ""
    whole, part = divmod(abs(base_units), 10**18)
    return f"{sign}{whole}.{part:018d}".rstrip("0").rstrip(".") + (f" {symbol}" if symbol else "")


def whole_amount(base_units: int, symbol: str) -> str:
    """Every digit of an amount that is not negative, as it is read: "1 284.92 DPN"."""
    whole, part = divmod(base_units, 10**18)
    digits = f"{part:018d}".rstrip("0").ljust(2, "0")
    return f"{whole:,}.{digits} {symbol}".replace(",", "\u2009")


def signed_amount(base_units: int) -> str:
    """An amount with its sign, as in a ledger: "+0.31", "−2.00" (a true minus)."""
    if base_units < 0:
        return "−" + format_tokens(-base_units)
    return "+" + format_tokens(base_units) if base_units else "0"
