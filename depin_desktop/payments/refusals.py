"""Why a payment is refused, in x402's words for programs and in ours for people.

Codes that x402 defines are part of its wire contract (a stock client recovers by them); the last few are ours, for
cases that it does not name.
"""

from __future__ import annotations

from enum import StrEnum

_PREFIX = "invalid_batch_settlement_evm_"


class Refusal(StrEnum):
    """The `error` of a 402 answer."""

    UNPAID = "payment_required"
    PAYLOAD = _PREFIX + "payload_type"
    SCHEME = _PREFIX + "scheme"
    NETWORK = _PREFIX + "network_mismatch"
    CHANNEL_ID = _PREFIX + "channel_id_mismatch"
    RECEIVER = _PREFIX + "receiver_mismatch"
    AUTHORIZER = _PREFIX + "receiver_authorizer_mismatch"
    TOKEN = _PREFIX + "token_mismatch"
    DELAY = _PREFIX + "withdraw_delay_mismatch"
    SIGNATURE = _PREFIX + "voucher_signature"
    TOTAL = _PREFIX + "cumulative_amount_mismatch"
    BELOW_CLAIMED = _PREFIX + "cumulative_below_claimed"
    BALANCE = _PREFIX + "cumulative_exceeds_balance"
    CHANNEL = _PREFIX + "channel_not_found"
    DEPOSIT_PAYLOAD = _PREFIX + "deposit_payload"
    DEPOSIT_SMALL = _PREFIX + "deposit_below_min_deposit"
    DEPOSIT_SIGNATURE = _PREFIX + "receive_authorization_signature"
    DEPOSIT_EARLY = _PREFIX + "payload_authorization_valid_after"
    DEPOSIT_EXPIRED = _PREFIX + "payload_authorization_valid_before"
    DEPOSIT_FUNDS = _PREFIX + "insufficient_balance"
    DEPOSIT_FAILED = _PREFIX + "deposit_transaction_failed"
    CHAIN = _PREFIX + "channel_state_read_failed"
    REFUND_NOTHING = _PREFIX + "refund_no_balance"
    REFUND_FAILED = _PREFIX + "refund_transaction_failed"
    REFUND_SMALL = _PREFIX + "refund_below_its_fee"
    BUSY = _PREFIX + "channel_busy"
    WITHDRAWING = _PREFIX + "withdrawal_pending"
    EXPOSURE = _PREFIX + "unclaimed_cap_reached"


EXPLANATIONS: dict[Refusal, tuple[str, str]] = {
    Refusal.UNPAID: (
        "This request has to be paid.",
        "Send it with a PAYMENT-SIGNATURE header (x402, batch-settlement).",
    ),
    Refusal.PAYLOAD: ("The payment could not be read.", "Send an x402 v2 payload of scheme batch-settlement."),
    Refusal.SCHEME: ("The payment is of another scheme.", "Use scheme batch-settlement."),
    Refusal.NETWORK: ("The payment is for another chain.", "Pay on the chain that this provider announces."),
    Refusal.CHANNEL_ID: ("The voucher names another channel than its configuration.", "Sign for this channel's id."),
    Refusal.RECEIVER: ("The channel pays somebody else.", "Open a channel to this provider's payout address."),
    Refusal.AUTHORIZER: (
        "The channel cannot be claimed by this provider.",
        "Name its operator as receiver authorizer.",
    ),
    Refusal.TOKEN: ("The channel holds another token.", "Open a channel in the token that this provider announces."),
    Refusal.DELAY: (
        "The channel's withdraw delay is not the announced one.",
        "Open a channel with the announced delay.",
    ),
    Refusal.SIGNATURE: ("The voucher's signature is not valid on chain.", "Sign with the channel's payer authorizer."),
    Refusal.TOTAL: (
        "The voucher's total does not continue this channel.",
        "Continue from the total in this answer's channelState.",
    ),
    Refusal.BELOW_CLAIMED: ("The voucher is below what was already claimed.", "Continue from the chain's total."),
    Refusal.BALANCE: ("The channel's deposit is used up.", "Send a deposit with the next request."),
    Refusal.CHANNEL: ("This channel holds no deposit.", "Send a deposit with the first request."),
    Refusal.DEPOSIT_PAYLOAD: ("The deposit could not be read.", "Send an ERC-3009 authorisation."),
    Refusal.DEPOSIT_SMALL: ("The deposit is smaller than this provider accepts.", "Deposit at least minDeposit."),
    Refusal.DEPOSIT_SIGNATURE: (
        "The deposit's authorisation is not signed by the payer.",
        "Sign it with the payer's key.",
    ),
    Refusal.DEPOSIT_EARLY: ("The deposit's authorisation is not valid yet.", "Let validAfter lie in the past."),
    Refusal.DEPOSIT_EXPIRED: ("The deposit's authorisation has expired.", "Sign a new one."),
    Refusal.DEPOSIT_FUNDS: ("The payer holds less than the deposit.", "Add funds, or deposit less."),
    Refusal.DEPOSIT_FAILED: ("The deposit was rejected by the chain.", "Sign a new deposit and try again."),
    Refusal.CHAIN: ("The provider cannot reach the chain just now.", "Try again in a moment."),
    Refusal.REFUND_NOTHING: ("There is nothing left to return in this channel.", ""),
    Refusal.REFUND_FAILED: ("The refund was rejected by the chain.", "Withdraw from the channel yourself."),
    Refusal.REFUND_SMALL: (
        "What was paid in this channel is less than the fee of sending its rest back.",
        "Go on using it, or withdraw from the channel yourself.",
    ),
    Refusal.BUSY: (
        "Another request of this channel is still being served.",
        "Wait for its answer, or use another channel (another salt).",
    ),
    Refusal.WITHDRAWING: ("The payer is withdrawing this channel's deposit.", "Open another channel."),
    Refusal.EXPOSURE: (
        "Too much is waiting to be claimed from this customer.",
        "Try again when the provider has claimed.",
    ),
}


class PaymentRefused(Exception):
    """Raised inside the provider's checks; becomes the 402 answer."""

    def __init__(self, refusal: Refusal, detail: str = "") -> None:
        super().__init__(refusal.value)
        self.refusal = refusal
        self.detail = detail


def explain(code: str) -> str:
    """What a refusal's code means, in a sentence; the code itself where it is not ours."""
    return EXPLANATIONS[Refusal(code)][0] if code in set(Refusal) else code
