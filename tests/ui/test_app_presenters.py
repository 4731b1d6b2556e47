"""Snapshots to words, as tables."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from depin_desktop.api.models import FolderState, Health, HubStatus, ServiceState
from depin_desktop.api.wallet import HistoryEntry
from depin_desktop.app import words
from depin_desktop.app.known import Known, Link, Phase
from depin_desktop.app.presenters import common, first_run, home, machine, storage, wallet

from . import samples
from .samples import NOW

GB = 10**9


def with_service(state: ServiceState, reason: str = "") -> Known:
    service = samples.service(state, reason)
    return samples.live(
        status=samples.status(services=(service,)), storage=samples.storage(service=service, last_proven_at=None)
    )


@pytest.mark.parametrize(
    ("state", "word", "tone"),
    [
        (ServiceState.OFF, "Off", "muted"),
        (ServiceState.STARTING, "Starting…", "info"),
        (ServiceState.EARNING, "Earning", "accent"),
        (ServiceState.IDLE, "Ready", "info"),
        (ServiceState.PAUSED, "Paused", "muted"),
        (ServiceState.ATTENTION, "Look at this", "warning"),
        (ServiceState.FAULT, "Fault", "fault"),
    ],
)
def test_the_pill_of_each_state(state: ServiceState, word: str, tone: str) -> None:
    pill = common.storage_pill(with_service(state, "because"), NOW)
    assert (pill.text, pill.tone) == (word, tone)


def test_earning_is_told_by_its_last_proof_and_ages() -> None:
    assert common.storage_pill(samples.live(), NOW).text == "Proven 4 min ago"
    assert common.storage_pill(samples.live(), NOW + 3600).text == "Proven 1 h ago"


def test_nothing_claims_to_earn_while_the_engine_is_away() -> None:
    pill = common.storage_pill(samples.offline(), NOW)
    assert (pill.text, pill.tone) == ("Seen 34 s ago", "muted")
    assert common.status_line(samples.offline(), NOW).state.text == "Engine away"


@pytest.mark.parametrize(
    ("known", "busy", "on", "enabled"),
    [
        (samples.live(), False, True, True),
        (samples.live(), True, True, False),
        (samples.live(status=samples.status(sharing=False)), False, False, True),
        (samples.empty(), False, False, False),
        (samples.offline(), False, True, False),
        (samples.loading(), False, False, False),
    ],
    ids=["live", "busy", "off", "nothing shared", "offline", "loading"],
)
def test_when_the_sharing_switch_may_be_moved(known: Known, busy: bool, on: bool, enabled: bool) -> None:
    view = common.sharing_switch(known, busy)
    assert (view.on, view.enabled) == (on, enabled)
    assert view.tip


@pytest.mark.parametrize(
    ("phase", "shown"),
    [
        (Phase.LIVE, False),
        (Phase.CONNECTING, False),
        (Phase.STARTING, False),
        (Phase.LOST, True),
        (Phase.FAILED, True),
    ],
)
def test_when_the_link_has_a_banner(phase: Phase, shown: bool) -> None:
    notice = common.link_notice(Link(phase, NOW - 5, "it said why", "do this"), NOW)
    assert (notice is not None) == shown
    if notice is not None:
        assert "it said why" in notice.sentence
        assert notice.action_label


def test_the_status_line_says_what_tokens_are_worth_only_where_it_is_nothing() -> None:
    line = common.status_line(samples.live(), NOW)
    assert line.worth.text == "Tokens on this private network have no value"
    assert "could choose the challenges" in line.worth.tip
    assert "could choose the challenges" in storage.proof_caution(samples.live())
    assert line.network.text == "Private network · block 18\u2009204, just now"
    public = samples.status(network=samples.status().network.model_copy(update={"private": False, "name": "testville"}))
    line = common.status_line(samples.live(status=public), NOW)
    assert line.worth.text == ""
    assert storage.proof_caution(samples.live(status=public)) == ""
    assert line.network.text.startswith("testville · block")


def test_the_status_line_warns_of_a_lost_hub_and_chain() -> None:
    away = samples.status(
        hub=HubStatus(connected=False, detail="refused"),
        network=samples.status().network.model_copy(update={"connected": False}),
    )
    line = common.status_line(samples.live(status=away), NOW)
    assert (line.hub.text, line.hub.tone, line.hub.tip) == ("Hub away", "warning", "refused")
    assert (line.network.text, line.network.tone) == ("Private network away", "warning")


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        (samples.live(), "Storage and compute are earning. Next proof in 12 min."),
        (samples.empty(), "Nothing is shared yet."),
        (samples.loading(), "Starting the engine…"),
        (samples.offline(), "The engine is away. These are its last figures."),
        (samples.live(status=samples.status(sharing=False)), "Sharing is off. Nothing new is accepted."),
        (
            with_service(ServiceState.IDLE),
            "Compute is earning. Storage is ready and waits for its first customer.",
        ),
        (
            with_service(ServiceState.FAULT, "The disk is gone."),
            "Storage has a fault. The disk is gone. Compute is earning.",
        ),
    ],
)
def test_the_sentence_under_the_greeting(known: Known, sentence: str) -> None:
    assert home.summary(known, NOW) == sentence


def test_earnings_are_exact_on_hover_and_unknown_is_not_zero() -> None:
    view = home.earnings(samples.live())
    assert (view.today, view.total, view.pending, view.unit) == ("13.88", "1\u2009204.77", "4.86", "DPN")
    assert view.today_tip == "13.88 DPN"
    assert home.earnings(samples.loading()).today is None
    assert home.earnings(samples.empty()).today == "0.00"


@pytest.mark.parametrize(
    ("known", "kind"), [(samples.live(), "filled"), (samples.empty(), "empty"), (samples.loading(), "loading")]
)
def test_what_the_storage_card_holds(known: Known, kind: str) -> None:
    assert home.storage_card(known, NOW).kind == kind


def test_advice_that_a_card_gives_already_is_not_repeated() -> None:
    told = (
        "Nothing is shared yet. Choose a folder.",
        "The disk is slow.",
        "Your wallet is not backed up. Twelve words.",
    )
    known = samples.live(status=samples.status(advice=told))
    assert [notice.sentence for notice in home.advice(known)] == ["The disk is slow."]


def test_where_tokens_are_worthless_only_the_wallet_page_asks_for_a_backup() -> None:
    assert home.backup(samples.live()) is None
    assert home.backup(samples.live(), always=True) is not None
    assert home.backup(samples.attention()) is not None
    assert home.backup(samples.live(wallet=samples.wallet(backed_up=True)), always=True) is None


def test_absent_hardware_is_a_normal_answer_and_a_failed_probe_is_told() -> None:
    rows = machine.machine_rows(samples.inventory(gpus=(), sensors=(), interfaces=(), disks=()))
    assert [row.title for row in rows] == [
        "AMD Ryzen 7 7840U",
        "Memory",
        "No GPU found",
        "No sensors found",
        "Network",
    ]
    warned = [row for row in machine.machine_rows(samples.fault().inventory) if row.tone == "warning"]
    assert [row.title for row in warned] == ["SMART could not be read"]
    failing = samples.inventory().disks[0].model_copy(update={"health": Health.FAILING})
    assert machine.machine_rows(samples.inventory(disks=(failing,)))[2].tone == "fault"


def test_many_disks_are_summed_up_and_still_told_on_hover() -> None:
    rows = [row for row in machine.machine_rows(samples.long_names().inventory) if row.icon == "disk"]
    assert len(rows) == 4
    assert rows[-1].title == "and 3 more"
    assert "very long volume name h" in rows[-1].tip


@pytest.mark.parametrize("state", list(FolderState))
def test_every_state_of_a_folder_has_a_word_and_trouble_has_a_remedy(state: FolderState) -> None:
    view = storage.folder_card(samples.folder(state=state), samples.inventory(), NOW, True)
    assert view.pill.text
    assert (view.detail is None) == (state is FolderState.OK)
    assert view.can_stop == (state is not FolderState.LEAVING)
    assert view.can_resize == (state not in (FolderState.MISSING, FolderState.FOREIGN, FolderState.LEAVING))
    assert not storage.folder_card(samples.folder(state=state), None, NOW, False).can_resize


def test_the_parts_of_a_disk_add_up_to_it() -> None:
    parts = storage.segments(samples.folder())
    assert sum(part.size for part in parts) == 2000 * GB
    assert [part.label for part in parts] == [
        "1.04 TB stored",
        "458 GB free to rent",
        "240 GB yours",
        "260 GB kept free",
    ]


def test_sizes_reach_from_little_to_what_the_guard_leaves() -> None:
    sizes = storage.folder_sizes(samples.folder())
    assert sizes.largest == 1042 * GB + 620 * GB
    assert sizes.value == 1500 * GB
    new = storage.new_share_sizes(2000 * GB, 720 * GB)
    assert new.largest == 710 * GB
    assert new.value == 350 * GB
    assert not storage.new_share_sizes(100 * GB, 4 * GB).usable


@pytest.mark.parametrize(
    ("path", "can", "says"),
    [
        ("", False, "Choose a folder"),
        ("relative/folder", False, "whole path"),
        ("/mnt/data/depin", False, "shared already"),
        ("/mnt/data/more", True, "WD Red SA500, ext4: 720 GB free of 2.00 TB"),
        ("/media/backup/x", True, "removable"),
        ("/mnt/database", True, "Samsung 990 PRO"),
    ],
)
def test_what_the_share_dialog_says_of_a_path(path: str, can: bool, says: str) -> None:
    form = storage.share_form(path, samples.inventory(), samples.storage())
    assert form.can_share == can
    assert says in form.disk.text + form.problem


@pytest.mark.parametrize(
    ("change", "says"),
    [({"read_only": True}, "read-only"), ({"health": Health.FAILING}, "failing"), ({"free_bytes": GB}, "too full")],
)
def test_a_bad_disk_is_not_shared(change: dict[str, object], says: str) -> None:
    disk = samples.inventory().disks[0].model_copy(update=change)
    form = storage.share_form("/home/anna/x", samples.inventory(disks=(disk,)), None)
    assert not form.can_share
    assert says in form.problem


def test_the_question_before_stopping_tells_what_happens_to_paid_pieces() -> None:
    told = " ".join(storage.stop_sentences(samples.folder()))
    assert "9\u2009412\u00a0paid pieces (1.04 TB) stay" in told
    assert "stake" in told
    assert "at once" in " ".join(storage.stop_sentences(samples.folder(pieces=0)))


def test_proofs_are_counted_and_a_missed_one_is_told() -> None:
    view = storage.proofs(samples.proofs(), "DPN", NOW)
    assert (view.proven, view.of, len(view.bars)) == ("29", "of 30", 30)
    assert "away for 40 minutes" in view.bars[17][1]
    assert storage.proofs(samples.proofs(missed=29), "DPN", NOW).last.tone == "fault"
    assert storage.proofs((), "DPN", NOW).sentence


def test_amounts_with_low_gas_warn() -> None:
    view = wallet.money(samples.live(wallet=samples.wallet(operator_gas=10**14)), NOW)
    assert [amount.tone for amount in view.keys] == ["text", "text", "warning", "text"]
    assert not wallet.money(samples.loading(), NOW).known


def entry(**changes: object) -> HistoryEntry:
    base: dict[str, object] = {
        "at": NOW - 60,
        "kind": "storage",
        "amount": 31 * 10**16,
        "transaction": "0x" + "ab" * 32,
    }
    return HistoryEntry.model_validate(base | changes)


@pytest.mark.parametrize(
    ("change", "column", "text", "tone"),
    [
        ({}, 0, "1 min ago", "muted"),
        ({"at": NOW - 40 * 86_400}, 0, words.date(NOW - 40 * 86_400), "muted"),
        ({"status": "pending"}, 1, "Storage proven · pending", "text"),
        ({"kind": "comet"}, 1, "comet", "text"),
        ({"kind": "slash", "amount": -(10**18)}, 2, "−1.00", "fault"),
        ({"amount": -5 * 10**18}, 2, "−5.00", "text"),
        ({"counterparty": samples.OWNER}, 3, "0x8f3A…E5d6", "muted"),
        ({"kind": "reads", "transaction": ""}, 4, "voucher", "faint"),
    ],
)
def test_cells_of_the_history(change: dict[str, object], column: int, text: str, tone: str) -> None:
    cell = wallet.history_cell(entry(**change), column, NOW, "DPN")
    assert (cell.text, cell.tone) == (text, tone)


@pytest.mark.parametrize(
    ("text", "kind", "matches"),
    [("", "", True), ("proven", "", True), ("0xABAB", "", True), ("sent", "", False), ("", "reads", False)],
)
def test_the_filter_of_the_history(text: str, kind: str, matches: bool) -> None:
    assert wallet.history_matches(entry(), text, kind) == matches


def test_the_export_is_exact_and_harmless_in_a_spreadsheet() -> None:
    text = wallet.export_csv([entry(amount=-1, detail="=HYPERLINK(1)"), entry(detail='a "quoted", text')], "DPN")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert rows[0]["amount"] == "-0.000000000000000001"
    assert rows[0]["detail"] == "'=HYPERLINK(1)"
    assert rows[1]["detail"] == 'a "quoted", text'
    assert rows[0]["time_utc"] == "2025-11-22T19:40:00+00:00"
    assert rows[0]["transaction"] == "0x" + "ab" * 32


@pytest.mark.parametrize(
    ("file", "password", "again", "level", "can"),
    [
        ("", "", "", 0, False),
        ("n.json", "short", "short", 1, False),
        ("n.json", "aaaaaaaa", "aaaaaaaa", 1, True),
        ("n.json", "longer pass", "longer pass", 2, True),
        ("n.json", "correct horse battery", "correct horse battery", 3, True),
        ("n.json", "correct horse battery", "correct horse", 3, False),
        ("", "correct horse battery", "correct horse battery", 3, False),
    ],
)
def test_the_first_run_form(file: str, password: str, again: str, level: int, can: bool) -> None:
    form = first_run.judge(file, password, again)
    assert (form.level, form.can_go) == (level, can)
    assert form.strength.text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "now"), (30, "in 30 s"), (720, "in 12 min"), (7200, "in 2 h"), (5_270_400, "in 61 days")],
)
def test_times_to_come(seconds: float, text: str) -> None:
    assert words.ahead(seconds) == text


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "0"), (10**18, "1"), (-15 * 10**17, "-1.5"), (1, "0.000000000000000001")]
)
def test_exact_amounts_have_every_digit(amount: int, text: str) -> None:
    assert words.exact_amount(amount, "") == text


def test_an_address_is_grouped_without_losing_a_digit() -> None:
    assert "0x" + "".join(words.grouped_address(samples.OWNER)) == samples.OWNER


def test_a_text_with_braces_from_outside_does_not_break_a_sentence() -> None:
    known = samples.live(link=replace(samples.offline().link, detail="{odd} %s"))
    assert "{odd} %s" in (common.link_notice(known.link, NOW) or common.Notice("", "")).sentence


@pytest.mark.parametrize(
    ("text", "tone", "told"),
    [
        ("", "muted", "Write how much"),
        ("much", "warning", "is not an amount"),
        ("25", "muted", "holds now"),
        ("30", "text", "5.00 DPN move from your wallet"),
        ("5.5", "text", "19.50 DPN move from this machine’s budget"),
        ("5000", "warning", "only 1\u2009310.42 DPN"),
    ],
)
def test_what_a_budget_moves_is_said_before_it_is_signed(text: str, tone: str, told: str) -> None:
    words = wallet.budget_move(text, samples.wallet(), "DPN")
    assert words.tone == tone
    assert told in words.text
