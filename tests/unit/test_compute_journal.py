"""What is known of jobs after their engine was killed: the journal's lines, and the rows that are made of them."""

from __future__ import annotations

import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depin_desktop.api.compute import JobOutcome, JobStatus
from depin_desktop.core.database import Database
from depin_desktop.payments.headers import ChannelConfig
from depin_desktop.payments.store import Channel, ChannelStore, Promise
from depin_desktop.services.compute import journal as lines
from depin_desktop.services.compute.journal import Journal
from depin_desktop.services.compute.leftovers import take_up
from depin_desktop.services.compute.store import Ended, JobStore

from .test_compute_store import job

CHANNEL = b"\x07" * 32


def running(number: int) -> JobStatus:
    return job(number, outcome=JobOutcome.RUNNING, ended_at=None, earned=0, log="waited 0.00 s")


def opened(path: Path) -> Journal:
    journal = Journal(path)
    journal.open()
    return journal


def test_what_was_under_way_and_what_was_over_is_told_after_the_process_has_ended(tmp_path: Path) -> None:
    journal = opened(tmp_path / "running")
    journal.begin(running(1), CHANNEL, 5)
    journal.begin(running(2), CHANNEL, 10**30)
    journal.end(Ended(job(1), {"signature": "0x1"}, 0.25, 0.5))
    left = Journal(tmp_path / "running").open()  # nobody has closed the first one
    assert left.ended == [Ended(job(1), {"signature": "0x1"}, 0.25, 0.5)]
    assert [(line.job, line.channel, line.charged) for line in left.begun] == [(running(2), CHANNEL.hex(), 10**30)]
    if sys.platform != "win32":
        assert stat.S_IMODE((tmp_path / "running").stat().st_mode) == 0o600


def test_the_file_is_empty_when_every_job_has_its_row(tmp_path: Path) -> None:
    path = tmp_path / "running"
    journal = opened(path)
    journal.begin(running(1), CHANNEL, 0)
    journal.end(Ended(job(1)))
    journal.end(Ended(job(2)))
    journal.settle([job(1).id])
    assert path.stat().st_size > 0
    journal.settle([job(2).id])
    assert path.read_bytes() == b""


def test_a_long_file_is_shortened_to_what_is_still_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_BYTES", 10_000)
    path = tmp_path / "running"
    journal = opened(path)
    journal.begin(running(0), CHANNEL, 0)
    for number in range(1, 200):
        journal.end(Ended(job(number)))
        journal.settle([job(number).id])
    assert path.stat().st_size < 11_000
    journal.begin(running(200), CHANNEL, 0)
    left = Journal(path).open()
    assert [line.job for line in left.begun] == [running(0), running(200)]
    assert {one.job.id for one in left.ended} <= {job(number).id for number in range(1, 200)}


def test_a_line_that_was_cut_short_costs_nothing_but_itself(tmp_path: Path) -> None:
    path = tmp_path / "running"
    journal = opened(path)
    for number in (1, 2):
        journal.begin(running(number), CHANNEL, 0)
    path.write_bytes(path.read_bytes()[:-20] + bytes(8))
    again = Journal(path)
    assert [line.job for line in again.open().begun] == [running(1)]
    again.begin(running(3), CHANNEL, 0)
    assert [line.job for line in Journal(path).open().begun] == [running(1), running(3)]


def test_where_nothing_can_be_noted_jobs_run_all_the_same(tmp_path: Path) -> None:
    journal = Journal(tmp_path)  # a folder
    assert journal.open() == lines.Left()
    journal.begin(running(1), CHANNEL, 0)
    journal.alive()
    journal.end(Ended(job(1)))
    journal.settle([job(1).id])
    journal.close()


@given(st.lists(st.tuples(st.sampled_from("bes"), st.integers(0, 5)), max_size=40))
def test_any_history_leaves_exactly_what_is_not_settled(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "running"
    journal, expected = opened(path), dict[str, bool]()
    for what, number in steps:
        identity = job(number).id
        if what == "s":
            journal.settle([identity])
            expected.pop(identity, None)
        elif what == "b":
            journal.begin(running(number), CHANNEL, 0)
            expected[identity] = False
        else:
            journal.end(Ended(job(number)))
            expected[identity] = True
    journal.close()
    again = Journal(path)
    left = again.open()
    again.close()
    found = {one.job.id: True for one in left.ended} | {line.job.id: False for line in left.begun}
    assert {identity: found[identity] for identity in expected} == expected
    # What was settled may still stand there while another job is under way; its row is there, and counts.
    assert not found or expected


# --- the rows


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "engine.sqlite")
    await database.open()
    yield database
    await database.close()


async def charged(database: Database, *amounts: int) -> None:
    """A customer's channel of which so much has been charged."""
    store = ChannelStore(database)
    await store.open()
    zero = "0x" + "00" * 20
    config = ChannelConfig(
        payer=zero, payer_authorizer=zero, receiver=zero, receiver_authorizer=zero, token=zero, withdraw_delay=900,
        salt="0x" + "00" * 32,
    )  # fmt: skip
    channel, total = Channel(CHANNEL, config, balance=10**9), 0
    for amount in amounts:
        total += amount
        channel, _ = await store.charge(channel, Promise(total, b"s", amount), amount, "chat", "")


async def test_jobs_of_a_killed_engine_get_rows_with_what_was_paid_for_them(database: Database, tmp_path: Path) -> None:
    journal, store = opened(tmp_path / "running"), JobStore(database)
    await store.open()
    await charged(database, 100, 30)
    await store.record([Ended(job(1))])
    journal.end(Ended(job(1)))  # its row was written, and the journal not yet told so
    journal.end(Ended(job(2, earned=7), {"signature": "0x2"}))
    journal.begin(running(3), CHANNEL, 130)
    journal.begin(running(4).model_copy(update={"queued_at": running(3).queued_at + 1}), CHANNEL, 100)
    journal.begin(running(5).model_copy(update={"queued_at": running(3).queued_at + 2}), b"\x08" * 32, 0)

    again = Journal(tmp_path / "running")
    await take_up(again, store, database)
    books = await store.books(job(1).queued_at, 10)
    shown = {one.id: one for one in books.jobs}
    assert len(shown) == 5
    assert (shown[job(2).id].outcome, shown[job(2).id].earned) == (JobOutcome.DONE, 7)
    assert await store.receipt(job(2).id) == {"signature": "0x2"}
    interrupted = [shown[job(number).id] for number in (3, 4, 5)]
    assert {one.outcome for one in interrupted} == {JobOutcome.INTERRUPTED}
    # The last charge came to the disk before the engine ended, and the line that says so did not.
    assert [one.earned for one in interrupted] == [0, 30, 0]
    assert ["Nothing was charged" in one.log for one in interrupted] == [True, False, True]
    assert all(one.ended_at and one.ended_at >= (one.started_at or 0) for one in interrupted)
    assert (tmp_path / "running").read_bytes() == b""
    assert sum(device.earned_total for device in books.devices) == sum(one.earned for one in books.jobs)
    assert books.last_job_at == job(2).ended_at  # one that was cut off shows no work done

    await take_up(Journal(tmp_path / "running"), store, database)
    assert (await store.books(job(1).queued_at, 10)).jobs == books.jobs
