"""The door sees the end of a head wherever it is cut, and tells what a stream has come to."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depin_desktop.net.admission import HEAD_TIMEOUT_S, PACE_S, WAIT_TIMEOUT_S, Stage
from depin_desktop.net.door import MAX_HEAD, Door

REQUEST = b"PUT /piece HTTP/1.1\r\nHost: node\r\nContent-Length: 9\r\n\r\n"
BODY = b"a\r\n\r\nb\r\n\r\n"


class Sink(asyncio.Protocol):
    """Where a door leads to: keeps what comes."""

    def __init__(self) -> None:
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data


class Wire(asyncio.Transport):
    aborted = False

    def abort(self) -> None:
        self.aborted = True


class Way:
    """A door between a wire and a sink, and the stages that it told."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []
        self.payments = 0
        self.sink, self.wire = Sink(), Wire()
        self.door = Door(self.sink, self.stages.append, self._paid)
        self.door.connection_made(self.wire)

    def _paid(self) -> None:
        self.payments += 1

    def gets(self, *parts: bytes) -> list[Stage]:
        for part in parts:
            self.door.data_received(part)
        return self.stages


class Request:
    """What a door asks of a request under way: how much of its body has come."""

    def __init__(self) -> None:
        self.content = self
        self.total_bytes = 0


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges) if start < end]


async def test_a_whole_head_is_work_at_once():
    assert Way().gets(REQUEST + BODY) == [Stage.WORKING]


@given(cuts=st.lists(st.integers(0, len(REQUEST)), max_size=6), blank=st.sampled_from([b"", b"\r\n", b"\r\n\r\n\r\n"]))
def test_a_head_ends_at_its_last_byte_however_it_is_cut(cuts: list[int], blank: bytes):
    async def check() -> None:
        way = Way()
        parts = split(blank + REQUEST, cuts)
        assert Stage.WORKING not in way.gets(*parts[:-1])
        assert way.gets(parts[-1])[-1] is Stage.WORKING
        assert way.stages.count(Stage.ASKING) == (len(parts) > 1)
        assert way.sink.data == blank + REQUEST

    asyncio.run(check())


async def test_blank_lines_alone_are_no_request():
    assert Way().gets(b"\r\n\r\n", b"\r\n", b"\r\n\r\n") == [Stage.ASKING]


async def test_a_head_without_end_is_cut_off():
    way = Way()
    line = b"X-More: " + b"x" * 1000 + b"\r\n"
    way.gets(b"GET / HTTP/1.1\r\n", *[line] * (MAX_HEAD // len(line)))
    assert not way.wire.aborted
    held = len(way.sink.data)
    way.gets(line)
    assert way.wire.aborted
    assert len(way.sink.data) == held


async def test_each_request_of_a_stream_is_followed_and_bodies_are_not():
    way = Way()
    way.gets(REQUEST)
    way.door.begun(Request())
    way.gets(BODY, b"x" * 2 * MAX_HEAD)
    way.door.ended()
    assert way.stages == [Stage.WORKING, Stage.WAITING]
    way.gets(b"GET / HTTP/1.1\r")
    assert way.stages == [Stage.WORKING, Stage.WAITING]  # it has had an answer: it waits until the head is whole
    way.gets(b"\n\r\n")
    assert way.stages == [Stage.WORKING, Stage.WAITING, Stage.WORKING]
    assert not way.wire.aborted


async def test_what_the_server_begins_is_work_though_its_head_was_not_seen():
    way = Way()
    way.gets(REQUEST)
    way.door.begun(Request())
    way.door.ended()
    way.door.begun(Request())  # sent along with the first
    assert way.stages == [Stage.WORKING, Stage.WAITING, Stage.WORKING]


@pytest.mark.parametrize("sent", [[], [b"GET /"], [b"\r\n\r\n"]])
async def test_a_head_may_not_take_for_ever(sent):
    way = Way()
    way.gets(*sent)
    assert way.door.look(way.door.since + HEAD_TIMEOUT_S - 1)
    assert not way.door.look(way.door.since + HEAD_TIMEOUT_S + 1)


async def test_bytes_now_and_then_do_not_lengthen_the_wait_for_the_next_request():
    way = Way()
    way.gets(REQUEST)
    way.door.begun(Request())
    way.door.ended()
    began = way.door.since
    way.gets(b"G", b"E")
    assert way.door.since == began
    assert way.door.look(began + WAIT_TIMEOUT_S - 1)
    assert not way.door.look(began + WAIT_TIMEOUT_S + 1)


async def test_a_request_whose_head_the_server_never_took_is_as_overdue_as_half_a_one():
    way = Way()
    way.gets(REQUEST)
    assert not way.door.look(way.door.since + HEAD_TIMEOUT_S + 1)


async def test_a_body_that_does_not_come_stalls_until_it_moves_again():
    way, request = Way(), Request()
    way.gets(REQUEST)
    way.door.begun(request)
    now = way.door.since + PACE_S + 1
    assert way.door.look(now)
    request.total_bytes = 100
    assert way.door.look(now := now + PACE_S)  # a byte now and then is no pace
    assert way.stages == [Stage.WORKING, Stage.STALLED]
    request.total_bytes = 1 << 20
    assert way.door.look(now + 1)  # too soon to tell
    assert way.stages == [Stage.WORKING, Stage.STALLED]
    assert way.door.look(now + PACE_S)
    assert way.stages == [Stage.WORKING, Stage.STALLED, Stage.WORKING]


async def test_what_is_paid_for_may_take_its_time():
    way = Way()
    way.gets(REQUEST)
    way.door.begun(Request())
    way.door.look(now := way.door.since + PACE_S + 1)
    way.door.paid()
    way.door.look(now + 1000 * PACE_S)
    assert (way.stages, way.payments) == ([Stage.WORKING, Stage.STALLED, Stage.WORKING], 1)
    way.door.ended()
    way.gets(REQUEST)
    way.door.begun(Request())  # the next one is not
    way.door.look(now + 3000 * PACE_S)
    assert way.stages[-1] is Stage.STALLED
