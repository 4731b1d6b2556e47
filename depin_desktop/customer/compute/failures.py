"""What it means when a provider does not answer as asked: whose fault it is, and who is asked next. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum

from depin_desktop.core.errors import UserFacingError
from depin_desktop.payments.payer_terms import PaymentFailed
from depin_desktop.payments.refusals import Refusal

UNKNOWN_MODULE = "unknown-module"
_FUNDS = frozenset({"insufficient-funds", "budget-exhausted"})
_BUSY_PAYMENTS = frozenset({Refusal.EXPOSURE, Refusal.BUSY})
_GONE = frozenset({404, 408, 409, 410, 425})  # the provider has changed its mind since its offer; others may not have
_UNFINISHED = frozenset({"stopped", "cancelled", "overloaded"})  # it had taken the job
BUSY_S = 2.0
MAX_BUSY_S = 60.0
_SHOWN = 300


class Fault(Enum):
    """Why an attempt has failed, and thereby what comes next."""

    PROVIDER = "provider"  # leave it alone for a while, and ask somebody else
    BUSY = "busy"  # it will have time again; ask somebody else, or wait
    FUNDS = "funds"  # somebody else may have a deposit of ours already
    CUSTOMER = "customer"  # nobody could do what was asked


class AttemptFailed(UserFacingError):
    """One provider did not do the work.

    Attributes:
        wait_s: how long a busy one wants to be left alone.
        charged: whether something was, or may have been, paid for it.
        paid: base units that certainly were.
    """

    def __init__(self, shown: UserFacingError, fault: Fault, *, wait_s: float = BUSY_S, charged: bool = False) -> None:
        super().__init__(shown.message, shown.remedy, code=shown.code, status=shown.status)
        self.fault = fault
        self.wait_s = wait_s
        self.charged = charged
        self.paid = 0


def of_payment(error: PaymentFailed) -> AttemptFailed:
    """A payment that could not be made, or was not taken."""
    if error.code == "budget-refused":
        return AttemptFailed(error, Fault.CUSTOMER)
    if error.code in _FUNDS:
        return AttemptFailed(error, Fault.FUNDS)
    return AttemptFailed(error, Fault.BUSY if error.code in _BUSY_PAYMENTS else Fault.PROVIDER)


def of_answer(owner: str, status: int, headers: Mapping[str, str], body: bytes) -> AttemptFailed:
    """A refusal over HTTP: {"code", "message", "remedy"}, if the provider keeps to the protocol."""
    code, message, remedy = said(body)
    shown = UserFacingError(
        f"The provider {owner} refused: {message or f'status {status}'}",
        remedy or "Try again later.",
        code=code or f"http-{status}",
        status=status,
    )
    if status == 429 or (status == 503 and code not in _UNFINISHED):
        return AttemptFailed(shown, Fault.BUSY, wait_s=_seconds(headers.get("Retry-After")))
    if 400 <= status < 500 and status not in _GONE:
        return AttemptFailed(shown, Fault.CUSTOMER)
    return AttemptFailed(shown, Fault.PROVIDER)


def broken(owner: str, why: str, *, charged: bool = False) -> AttemptFailed:
    """An answer that ended early or does not hold."""
    shown = UserFacingError(f"The provider {owner} {why}.", "Try again.", code="bad-answer", status=502)
    return AttemptFailed(shown, Fault.PROVIDER, charged=charged)


def said(body: bytes) -> tuple[str, str, str]:
    """Code, message and remedy of a stranger's error: printable, on one line each, and not too long."""
    try:
        problem = json.loads(body)
        inner = problem.get("error", problem)
        found = [inner.get(name) or "" for name in ("code", "message", "remedy")]
    except (ValueError, AttributeError, RecursionError):
        return "", "", ""
    code, message, remedy = ("".join(c if c.isprintable() else " " for c in str(text))[:_SHOWN] for text in found)
    return code, message, remedy


def _seconds(text: str | None) -> float:
    try:
        return min(max(float(text or BUSY_S), 0.1), MAX_BUSY_S)
    except ValueError:
        return BUSY_S
