"""What the wallet's forms, reviews and receipts say, and when they let one go on."""

from __future__ import annotations

import pytest

from depin_desktop.api.wallet import HistoryEntry, LookAt, StepKind, WalletStatus
from depin_desktop.app.orders import Done, Order, Stage
from depin_desktop.app.presenters import step_forms as forms
from depin_desktop.app.presenters import step_reviews as reviews
from depin_desktop.app.presenters import thaws
from depin_desktop.app.presenters.wallet import Amount, money, payout, wishes
from depin_desktop.app.words import clock, date, full_time, whole_amount

from . import samples

NOW, TOKEN = samples.NOW, samples.TOKEN
FRIEND = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # EIP-55's first two examples
OTHER = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
DAY = 86_400


def wallet(**changes: object) -> WalletStatus:
    return samples.wallet(**({"owner": OTHER, "payout": OTHER} | changes))


def sent_to(address: str, at: float = NOW - 3 * DAY) -> HistoryEntry:
    return HistoryEntry(at=at, kind="transfer-out", amount=-5, counterparty=address, transaction="0x1", block=1)


def send(
    to: str = FRIEND, amount: str = "1", *, coin: bool = False, history: tuple[HistoryEntry, ...] = ()
) -> forms.Form:
    return forms.send_form(to, amount, coin, wallet(), history, "DPN", NOW)


@pytest.mark.parametrize(
    ("amount", "coin", "asked", "said"),
    [
        ("25.5", False, 25_500_000_000_000_000_000, "1\u2009284.92 DPN stay in the wallet."),
        ("1\u2009310.42", False, 1_310_420_000_000_000_000_000, "0.00 DPN stay in the wallet."),
        ("all", False, None, "Everything."),
        ("0,5", True, 500_000_000_000_000_000, "0.700 ETH stay for gas, less the fee."),
        (" ALL ", True, None, "Everything but the fee."),
    ],
)
def test_an_amount_that_is_there_can_be_sent(amount: str, coin: bool, asked: int | None, said: str) -> None:
    form = send(amount=amount, coin=coin)
    kind = StepKind.SEND_COIN if coin else StepKind.SEND
    assert form.ask == LookAt(kind=kind, to=FRIEND, amount=asked)
    assert form.amount.text == said


@pytest.mark.parametrize(
    ("amount", "coin", "tone", "said"),
    [
        ("", False, "muted", "Your wallet has 1\u2009310.42 DPN."),
        ("0", False, "muted", "Your wallet has 1\u2009310.42 DPN."),
        ("1310.43", False, "warning", "Your wallet has only 1\u2009310.42 DPN."),
        ("1.21", True, "warning", "Your wallet has only 1.20 ETH."),
        ("lots", False, "warning", "“lots” is not an amount."),
        ("-1", False, "warning", "is not an amount"),
    ],
)
def test_an_amount_that_is_not_there_is_said_before_anybody_is_asked(
    amount: str, coin: bool, tone: str, said: str
) -> None:
    form = send(amount=amount, coin=coin)
    assert form.ask is None
    assert form.amount.tone == tone
    assert said in form.amount.text


@pytest.mark.parametrize(
    ("to", "tone", "said"),
    [
        ("", "muted", "better pasted"),
        ("0x", "muted", "0 of 40 digits"),
        (FRIEND[:-3], "muted", "37 of 40 digits"),
        (FRIEND + "1", "warning", "not an address"),
        (FRIEND[:-1] + "g", "warning", "not an address"),
        ("vitalik.eth", "warning", "not an address"),
        (FRIEND.replace("aA", "Aa", 1), "warning", "a slip in it"),
    ],
)
def test_what_is_no_address_cannot_be_gone_on_with(to: str, tone: str, said: str) -> None:
    form = send(to)
    assert form.ask is None
    assert form.about.tone == tone
    assert said in form.about.text


def test_an_address_in_one_letter_case_is_taken_and_shown_with_its_checksum() -> None:
    form = send(FRIEND.lower())
    assert form.ask is not None
    assert form.ask.to == FRIEND


def test_the_wallets_own_addresses_are_recognised() -> None:
    assert (send(OTHER).about.text, send(OTHER).about.tone) == ("This is your own wallet.", "warning")
    known = wallet(operator=FRIEND)
    assert "operator" in forms.address_words(FRIEND, known, (), NOW)[1].text
    known = wallet(spender=FRIEND)
    assert "spending budget" in forms.address_words(FRIEND, known, (), NOW)[1].text


def test_whoever_was_sent_to_before_is_recognised_and_whoever_only_looks_so_is_not() -> None:
    known = FRIEND
    imitation = known[:6].lower() + "0" * 32 + known[-4:].lower()
    assert send(known, history=(sent_to(known),)).about.tone == "accent"
    about = send(imitation, history=(sent_to(known),)).about
    assert about.tone == "warning"
    assert "compare every digit" in about.text
    assert about.tip == known
    # One who only sent something here, to be found in the history, counts as seen: that is how it is done.
    dust = samples.history(1)[0].model_copy(update={"kind": "transfer-in", "counterparty": known})
    assert send(imitation, history=(dust,)).about.tone == "warning"
    assert send(known, history=(dust,)).about.tone == "muted"
    assert "New" in send(known).about.text


def test_stake_and_release_say_what_is_left() -> None:
    told = wallet(stake=100 * TOKEN, least_stake=50 * TOKEN, thawing=samples.thawing(10))
    more = forms.stake_form("5", told, "DPN")
    assert (more.ask, more.amount.text) == (
        LookAt(kind=StepKind.STAKE, amount=5 * TOKEN),
        "The stake will be 95.00 DPN.",
    )
    assert forms.stake_form("99999", told, "DPN").ask is None
    less = forms.release_form("40", told, "DPN")
    assert (less.ask, less.amount.text) == (
        LookAt(kind=StepKind.UNSTAKE, amount=40 * TOKEN),
        "50.00 DPN stay staked.",
    )
    too_far = forms.release_form("41", told, "DPN")
    assert too_far.ask is not None
    assert too_far.amount.tone == "warning"
    assert "customers will not choose" in too_far.amount.text
    assert forms.release_form("all", told, "DPN").ask == LookAt(kind=StepKind.UNSTAKE)
    assert "only 90.00 DPN" in forms.release_form("91", told, "DPN").amount.text


def test_what_has_thawed_can_be_taken_out_by_the_chains_clock() -> None:
    ahead = 5 * 3600  # an embedded chain's clock may be ahead of this machine's
    told = wallet(thawing=samples.thawing(10, 25), as_of=NOW, chain_at=NOW + ahead)
    assert thaws.thawed(told, NOW) == 10 * TOKEN
    assert thaws.thawed(told, NOW + 10 * DAY - 3600 - ahead - 1) == 10 * TOKEN
    assert thaws.thawed(told, NOW + 10 * DAY - 3600 - ahead + 1) == 35 * TOKEN
    assert forms.withdraw_form(told, "DPN", NOW).ask == LookAt(kind=StepKind.WITHDRAW)
    assert "10.00 DPN" in thaws.thawing_words(told, "DPN", NOW).text
    waiting = wallet(thawing=samples.thawing(10, 25)[1:])
    assert forms.withdraw_form(waiting, "DPN", NOW).ask is None
    words = thaws.thawing_words(waiting, "DPN", NOW)
    at = NOW - 3600 + 10 * DAY
    assert words.text.startswith(f"25.00 DPN of the stake are being released, until {date(at)}, {clock(at)} (")
    assert words.text.endswith("(in 10 days).")
    assert full_time(at) in words.tip
    assert thaws.thawing_words(wallet(), "DPN", NOW).text == ""


def test_a_payout_address_may_be_any_but_the_present_one() -> None:
    told = wallet()
    assert forms.payout_form(FRIEND, told, (), NOW).ask == LookAt(kind=StepKind.PAYOUT, to=FRIEND)
    same = forms.payout_form(OTHER, told, (), NOW)
    assert (same.ask, same.about.text) == (None, "Earnings go there already.")
    elsewhere = wallet(payout=FRIEND)
    back = forms.payout_form(OTHER, elsewhere, (), NOW)
    assert back.ask is not None
    assert back.about.tone == "info"
    assert payout(samples.live(wallet=told)).text == "Earnings come to this wallet."
    assert payout(samples.live(wallet=elsewhere)).text == "Earnings go to 0x5aAe…eAed."


def test_a_budget_asks_for_what_it_shall_hold() -> None:
    assert forms.budget_form("30", wallet(), "DPN").ask == LookAt(kind=StepKind.BUDGET, amount=30 * TOKEN)
    assert forms.budget_form("0", wallet(), "DPN").ask == LookAt(kind=StepKind.BUDGET, amount=0)
    for text in ("", "25", "99999", "some"):
        assert forms.budget_form(text, wallet(), "DPN").ask is None


# --- review and receipt -------------------------------------------------------------------------------------------


def facts_of(ask: LookAt, **changes: object) -> dict[str, str]:
    look = samples.look(ask, **changes)
    return {fact.name: fact.value for fact in reviews.review_facts(ask, look, wallet(), "DPN", NOW)}


def test_a_review_tells_amount_fee_and_what_stays() -> None:
    facts = facts_of(LookAt(kind=StepKind.SEND, to=FRIEND, amount=25_500_000_000_000_000_000))
    assert facts == {
        "Amount": "25.50 DPN",
        "Stays in the wallet": "1\u2009284.92 DPN",
        "Fee, at most": "0.000263 ETH",
        "Stays for gas, at least": "1.19 ETH",
    }
    worth = facts_of(LookAt(kind=StepKind.SEND, to=FRIEND, amount=1), fee_worth=2 * TOKEN)
    assert worth["Fee, at most"] == "0.000263 ETH (about 2.50 DPN)"
    assert worth["Amount"] == "0.000000000000000001 DPN"
    lower = facts_of(LookAt(kind=StepKind.BUDGET, amount=5 * TOKEN), amount=20 * TOKEN)
    assert (lower["Back to the wallet"], lower["Budget afterwards"]) == ("20.00 DPN", "5.00 DPN")
    release = facts_of(LookAt(kind=StepKind.UNSTAKE, amount=TOKEN))
    at = NOW + 21 * DAY
    assert release["Can be taken out"] == f"{date(at)}, {clock(at)} (in 21 days)"
    assert "Amount" not in facts_of(LookAt(kind=StepKind.PAYOUT, to=FRIEND), amount=0)


def test_an_order_is_for_what_was_shown_and_for_no_higher_fee() -> None:
    ask = LookAt(kind=StepKind.SEND, to=FRIEND)
    look = samples.look(ask)
    order = reviews.order_of(ask, look)
    assert order == Order(StepKind.SEND, FRIEND, look.amount, reviews.highest_fee(look))
    assert reviews.highest_fee(look) == look.highest_fee * 5 // 4
    coin = LookAt(kind=StepKind.SEND_COIN, to=FRIEND)
    assert reviews.order_of(coin, samples.look(coin)).amount is None, "the fee decides how much that is"
    budget = LookAt(kind=StepKind.BUDGET, amount=5 * TOKEN)
    assert reviews.order_of(budget, samples.look(budget, amount=20 * TOKEN)).amount == 5 * TOKEN


@pytest.mark.parametrize(
    ("order", "command"),
    [
        (Order(StepKind.SEND, FRIEND, 5 * TOKEN // 2, 7), ("send", FRIEND, "2.5")),
        (Order(StepKind.SEND_COIN, FRIEND, None, 7), ("send", FRIEND, "all", "--coin")),
        (Order(StepKind.BUDGET, amount=0, fee_limit=7), ("budget", "0")),
        (Order(StepKind.STAKE, amount=1, fee_limit=7), ("stake", "0.000000000000000001")),
        (Order(StepKind.UNSTAKE, amount=TOKEN, fee_limit=7), ("unstake", "1")),
        (Order(StepKind.WITHDRAW, fee_limit=7), ("unstake",)),
        (Order(StepKind.PAYOUT, FRIEND, fee_limit=7), ("payout", FRIEND)),
    ],
)
def test_an_order_is_a_command_of_the_wallet(order: Order, command: tuple[str, ...]) -> None:
    rest = ("--yes", "--password-stdin", "--fee-limit", "0.000000000000000007")
    assert order.command() == ("wallet", *command, *rest)


def test_little_gas_is_a_warning_beside_the_engines_notes() -> None:
    ask = LookAt(kind=StepKind.SEND, to=FRIEND, amount=1)
    assert reviews.warnings(samples.look(ask)) == ()
    assert reviews.warnings(samples.look(ask, notes=("Mind the gap.",))) == ("Mind the gap.",)
    (last,) = reviews.warnings(samples.look(ask, coin_left=10**15))
    assert "could not be paid for" in last


@pytest.mark.parametrize("kind", list(StepKind))
def test_every_step_has_its_words(kind: StepKind) -> None:
    order = Order(kind, FRIEND, TOKEN, 1)
    assert reviews.TITLES[kind]
    assert reviews.VERBS[kind]
    assert reviews.done_words(order, TOKEN, "DPN").endswith(".")
    for stage in (Stage.UNLOCKING, Stage.SIGNING, Stage.SENT):
        assert reviews.errand_words(order, stage, "0xab", "DPN").text


def test_a_receipt_names_its_block_and_its_fee() -> None:
    done = Done(transaction="0xab", block=18_204, amount=TOKEN, fee=51 * 10**12, fee_worth=TOKEN // 100)
    told = {fact.name: fact.value for fact in reviews.receipt_facts(done, "DPN")}
    assert told == {"Block": "18\u2009204", "Fee": "0.0000510 ETH (about 0.0100 DPN)"}


def test_what_may_be_begun_follows_from_the_state() -> None:
    live = samples.live(wallet=wallet(thawing=samples.thawing(1)))
    assert wishes(live, NOW, busy=False) == wishes(live, NOW, busy=False).__class__(True, True, True, True, True)
    assert not any((wishes(live, NOW, busy=True).send, wishes(live, NOW, busy=True).stake))
    assert "on its way" in wishes(live, NOW, busy=True).tip
    for known in (samples.loading(), samples.offline()):
        away = wishes(known, NOW, busy=False)
        assert not any((away.send, away.stake, away.release, away.withdraw, away.payout))
        assert away.tip
    customer = wishes(samples.live(wallet=wallet(registered=False)), NOW, busy=False)
    assert (customer.send, customer.stake, customer.payout) == (True, False, False)
    assert "not registered" in customer.tip
    assert not wishes(samples.live(wallet=wallet(stake=0)), NOW, busy=False).release


def test_a_stake_that_is_too_small_once_it_is_released_is_marked() -> None:
    def stake(**changes: object) -> Amount:
        return money(samples.live(wallet=wallet(**changes)), NOW).keys[0]

    assert stake(thawing=samples.thawing(50)).tone == "text"
    low = stake(thawing=samples.thawing(50, 1))
    assert low.tone == "warning"
    assert "customers do not choose" in low.tip
    assert stake(stake=0, registered=False).tone == "text"


def test_whole_amounts_show_every_digit_and_at_least_two() -> None:
    assert whole_amount(0, "DPN") == "0.00 DPN"
    assert whole_amount(1_234_567 * TOKEN + 1, "DPN") == "1\u2009234\u2009567.000000000000000001 DPN"
