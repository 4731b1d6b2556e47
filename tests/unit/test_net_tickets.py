"""What opens a direct port, and what does not."""

from __future__ import annotations

import pytest

from depin_desktop.net.direct.tickets import LIFE_S, Tickets

NODE = "ab" * 32
NOW = 1_800_000_000.0


@pytest.fixture
def tickets() -> Tickets:
    return Tickets()


def test_a_knock_opens_until_it_expires(tickets):
    knock = tickets.knock(NOW)
    assert tickets.opens(knock, NOW)
    assert tickets.opens(knock, NOW + LIFE_S - 1)
    assert not tickets.opens(knock, NOW + LIFE_S)


def test_a_ticket_says_whose_it_is_until_it_expires(tickets):
    ticket = tickets.ticket(NODE, NOW)
    assert tickets.node_of(ticket, NOW) == NODE
    assert tickets.node_of(ticket, NOW + LIFE_S) is None


def test_a_knock_names_nobody(tickets):
    assert tickets.knock(NOW) != tickets.knock(NOW)
    assert bytes.fromhex(NODE)[:8] not in tickets.knock(NOW)


def test_every_changed_bit_is_refused(tickets):
    knock, ticket = tickets.knock(NOW), tickets.ticket(NODE, NOW)
    for bit in range(len(knock) * 8):
        assert not tickets.opens(_flipped(knock, bit), NOW)
    for bit in range(len(ticket) * 8):
        assert tickets.node_of(_flipped(ticket, bit), NOW) is None


@pytest.mark.parametrize("cut", [0, 1, -1])
def test_another_length_is_refused(tickets, cut):
    knock, ticket = tickets.knock(NOW), tickets.ticket(NODE, NOW)
    shorter = slice(0, cut)
    assert not tickets.opens(knock[shorter], NOW)
    assert not tickets.opens(knock + b"\0", NOW)
    assert tickets.node_of(ticket[shorter], NOW) is None
    assert tickets.node_of(ticket + b"\0", NOW) is None


def test_neither_stands_for_the_other_and_none_for_another_process(tickets):
    assert tickets.node_of(tickets.knock(NOW), NOW) is None
    assert not tickets.opens(tickets.ticket(NODE, NOW), NOW)
    assert not Tickets().opens(tickets.knock(NOW), NOW)
    assert Tickets().node_of(tickets.ticket(NODE, NOW), NOW) is None


def _flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
