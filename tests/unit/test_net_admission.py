"""Who is let in and who gives way, as tables; and that no history of comings and goings breaks the count."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from depin_desktop.net import admission
from depin_desktop.net.admission import Crowd, Limits, Room, Stage, is_overdue, keeps_pace, source_of

SMALL = Limits(streams=8, streams_per_node=3, half_open=4)


def crowd(*members: tuple[str, str]) -> Crowd[str]:
    made: Crowd[str] = Crowd()
    for member, group in members:
        made.add(member, group)
    return made


def room(*streams: tuple[str, Stage], limits: Limits = SMALL, payers: tuple[str, ...] = ()) -> Room[str]:
    """A room with these streams; the letters of a name are its node, "ann1" is one of ann's."""
    made: Room[str] = Room(limits)
    for payer in payers:
        made.paid(payer)
    for name, stage in streams:
        made.add(name, name.rstrip("0123456789"))
        made.move(name, stage)
    return made


def alike(stage: Stage, *names: str) -> list[tuple[str, Stage]]:
    return [(name, stage) for name in names]


@pytest.mark.parametrize(
    ("members", "goes"),
    [
        ([], None),
        ([("a1", "a")], "a1"),
        ([("a1", "a"), ("b1", "b")], "a1"),
        ([("a1", "a"), ("b1", "b"), ("b2", "b")], "b1"),
        ([("b1", "b"), ("a1", "a"), ("a2", "a"), ("b2", "b")], "b1"),
    ],
)
def test_the_oldest_of_the_largest_group_goes_first(members, goes):
    assert crowd(*members).next_to_go() == goes


def test_a_group_that_went_and_came_again_is_a_new_one():
    made = crowd(("a1", "a"), ("b1", "b"))
    made.discard("a1", "a")
    made.discard("a1", "a")
    made.add("a2", "a")
    assert (len(made), made.next_to_go()) == (2, "b1")


FULL = alike(Stage.WORKING, "ann1", "ann2", "bob1", "bob2", "cid1", "cid2")


@pytest.mark.parametrize(
    ("streams", "payers", "newcomer", "goes"),
    [
        pytest.param(FULL, "", "new", None, id="there is room"),
        pytest.param(
            [*alike(Stage.ASKING, "eve1", "eve2", "fay1", "fay2"), ("gus1", Stage.ASKING)], "", "gus", "eve1",
            id="too many half-open: the largest crowd's oldest, long before all streams are taken",
        ),
        pytest.param(
            alike(Stage.ASKING, "eve1", "eve2", "fay1", "fay2", "gus1"), "eve fay gus", "gus", None,
            id="half-open ones of payers are not counted there",
        ),
        pytest.param(
            alike(Stage.OPENED, "eve1", "eve2", "fay1", "fay2", "gus1"), "", "gus", None,
            id="nor those of which nothing has been read: an honest one looks like that at first",
        ),
        pytest.param(
            [*FULL, ("dan1", Stage.WAITING), ("eve1", Stage.ASKING), ("new1", Stage.OPENED)], "", "new", "eve1",
            id="full: half-open before idle",
        ),
        pytest.param(
            [*FULL, ("dan1", Stage.STALLED), ("eve1", Stage.WAITING), ("new1", Stage.OPENED)], "", "new", "eve1",
            id="full: idle before stalled",
        ),
        pytest.param(
            [*FULL, ("dan1", Stage.STALLED), ("eve1", Stage.STALLED), ("new1", Stage.OPENED)], "", "new", "dan1",
            id="full: stalled before the newcomer, the oldest first",
        ),
        pytest.param(
            [*FULL, ("dan1", Stage.WAITING), ("eve1", Stage.STALLED), ("new1", Stage.OPENED)], "dan", "new", "eve1",
            id="full: whatever of those who do not pay before a payer's idle one",
        ),
        pytest.param(
            [*FULL, ("dan1", Stage.ASKING), ("fay1", Stage.WORKING), ("new1", Stage.OPENED)], "dan", "new", "dan1",
            id="full: a payer's half-open one before the newcomer, who may be a payer tomorrow",
        ),
        pytest.param(
            [*FULL, *alike(Stage.WORKING, "dan1", "eve1"), ("new1", Stage.OPENED)], "", "new", "new1",
            id="full of work: the newcomer itself",
        ),
        pytest.param(
            [*FULL, *alike(Stage.WORKING, "dan1", "eve1"), ("new1", Stage.OPENED)], "new", "new", "ann1",
            id="full of work nobody pays for: a payer takes a place",
        ),
        pytest.param(
            [*FULL, *alike(Stage.WORKING, "dan1", "eve1"), ("new1", Stage.OPENED)],
            "ann bob cid dan eve new", "new", "new1",
            id="full of payers' work: even a payer has to come again",
        ),
    ],
)  # fmt: skip
def test_what_costs_its_sender_least_gives_way(streams, payers, newcomer, goes):
    assert room(*streams, payers=tuple(payers.split())).to_leave(newcomer) == goes


@pytest.mark.parametrize(
    ("streams", "payers", "nodes", "node", "may"),
    [
        pytest.param([], "", 1, "ann", True, id="nobody is here"),
        pytest.param(alike(Stage.WORKING, "ann1", "ann2", "ann3"), "", 1, "ann", False, id="a node's limit"),
        pytest.param(alike(Stage.WORKING, "ann1", "ann2", "ann3"), "ann", 1, "ann", False, id="also a payer's"),
        pytest.param(FULL, "", 4, "dan", True, id="the second half: a share is left for the newcomer"),
        pytest.param(FULL, "", 4, "ann", False, id="the second half: who has its share has enough"),
        pytest.param(FULL, "", 99, "dan", True, id="the share is one stream at least"),
        pytest.param(FULL, "ann", 4, "ann", True, id="payers have no share"),
        pytest.param(
            alike(Stage.ASKING, "eve1", "eve2", "fay1", "gus1"), "", 4, "eve", False,
            id="too many half-open, and it holds its share of them",
        ),
        pytest.param(
            alike(Stage.ASKING, "eve1", "eve2", "fay1", "gus1"), "", 4, "ann", True,
            id="too many half-open, but none are its own",
        ),
    ],
)  # fmt: skip
def test_who_may_open_another_stream(streams, payers, nodes, node, may):
    assert room(*streams, payers=tuple(payers.split())).may_open(node, nodes) is may


def test_half_open_requests_are_shared_out_among_those_who_send_such():
    some: Room[str] = Room(Limits(streams=100, half_open=4))
    for stream in ("eve1", "fay1", "fay2", "fay3"):
        some.add(stream, stream[:3])
        some.move(stream, Stage.ASKING)
    assert some.may_open("eve", 99)  # of 99 who are connected only two send such requests: two for each
    assert not some.may_open("fay", 99)


def test_a_node_that_pays_takes_its_streams_along():
    full = room(*FULL, ("dan1", Stage.WAITING), ("eve1", Stage.WAITING), ("new1", Stage.OPENED))
    assert full.to_leave("new") == "dan1"
    full.paid("dan")
    assert full.to_leave("new") == "eve1"


def test_only_the_last_payers_are_known(monkeypatch):
    monkeypatch.setattr(admission, "PAYERS_KNOWN", 2)
    full = room(*FULL, ("dan1", Stage.WAITING), ("eve1", Stage.WAITING), ("new1", Stage.OPENED), payers=("dan", "bob"))
    full.paid("dan")  # again: bob's is now the oldest
    full.paid("cid")
    assert [full.pays(node) for node in ("bob", "cid", "dan")] == [False, True, True]
    full.paid("eve")  # dan is forgotten, and gives way again
    assert full.to_leave("new") == "dan1"


@pytest.mark.parametrize(
    ("stage", "seconds", "overdue"),
    [
        (Stage.OPENED, 14, False),
        (Stage.OPENED, 16, True),
        (Stage.ASKING, 14, False),
        (Stage.ASKING, 16, True),
        (Stage.WAITING, 91, False),
        (Stage.WAITING, 121, True),
        (Stage.WORKING, 10**6, False),
        (Stage.STALLED, 10**6, False),
    ],
)
def test_a_head_has_to_come_soon_and_an_answer_may_take_its_time(stage, seconds, overdue):
    assert is_overdue(stage, seconds) is overdue


@pytest.mark.parametrize(("received", "kept"), [(0, False), (10_239, False), (10_240, True)])
def test_a_body_keeps_pace_from_a_kibibyte_a_second(received, kept):
    assert keeps_pace(received, 10) is kept


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1:1", "192.0.2.1:65535", True),
        ("192.0.2.1:1", "192.0.2.2:1", False),
        ("[2001:db8::1]:1", "[2001:db8::2:3]:9", True),
        ("[2001:db8::1]:1", "[2001:db8:0:1::1]:1", False),
        ("[::ffff:192.0.2.1]:1", "192.0.2.1:2", True),
        ("[fe80::1%eth0]:1", "[fe80::2%eth0]:1", True),
    ],
)
def test_callers_are_told_apart_by_what_they_cannot_choose(one, other, same):
    assert (source_of(one) == source_of(other)) is same


class Comings(RuleBasedStateMachine):
    """Nodes open streams, send, pay and leave in any order; whoever is to leave leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.room: Room[int] = Room(SMALL)
        self.nodes: dict[int, str] = {}
        self.stages: dict[int, Stage] = {}
        self.payers: set[str] = set()
        self.count = 0

    def leaves(self, stream: int) -> None:
        self.room.remove(stream)
        del self.nodes[stream], self.stages[stream]

    def make_room(self, newcomer: str) -> None:
        stream = self.room.to_leave(newcomer)
        if stream is None:
            return
        assert stream in self.nodes
        owner, stage = self.nodes[stream], self.stages[stream]
        if stage is Stage.WORKING:
            assert owner not in self.payers
            assert newcomer in self.payers
        if owner in self.payers and stage is not Stage.OPENED:
            # No stream of a node that does not pay would have done.
            assert not any(
                self.nodes[other] not in self.payers and self.stages[other] not in (Stage.OPENED, Stage.WORKING)
                for other in self.nodes
            )
        self.leaves(stream)

    @rule(node=st.sampled_from("abcdef"))
    def opens(self, node: str) -> None:
        if self.room.may_open(node, 6):
            self.count += 1
            self.room.add(self.count, node)
            self.nodes[self.count], self.stages[self.count] = node, Stage.OPENED
            self.make_room(node)

    @precondition(lambda self: self.nodes)
    @rule(data=st.data(), stage=st.sampled_from(Stage))
    def moves(self, data: st.DataObject, stage: Stage) -> None:
        stream = data.draw(st.sampled_from(sorted(self.nodes)))
        self.room.move(stream, stage)
        self.stages[stream] = stage
        if stage is Stage.ASKING:
            self.make_room(self.nodes[stream])

    @precondition(lambda self: self.nodes)
    @rule(data=st.data())
    def goes(self, data: st.DataObject) -> None:
        stream = data.draw(st.sampled_from(sorted(self.nodes)))
        self.leaves(stream)
        self.room.remove(stream)  # told twice
        self.room.move(stream, Stage.WORKING)  # and late

    @rule(node=st.sampled_from("ab"))
    def pays(self, node: str) -> None:
        self.room.paid(node)
        self.payers.add(node)

    @invariant()
    def nothing_is_beyond_its_limit(self) -> None:
        assert set(self.room) == set(self.nodes)
        assert len(self.room) == len(self.nodes) <= SMALL.streams
        half_open = [
            s for s, stage in self.stages.items() if stage is Stage.ASKING and self.nodes[s] not in self.payers
        ]
        assert len(half_open) <= SMALL.half_open
        for node in "abcdef":
            assert sum(owner == node for owner in self.nodes.values()) <= SMALL.streams_per_node


Comings.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestComings = Comings.TestCase
