"""Who is let in and who gives way when callers want more than there is: pure bookkeeping, no I/O.

Node ids cost nothing, so limits for each node do not bound a crowd of them. What counts instead is what a stream has
come to: part of a request costs its sender nothing, a whole one little, a paid one money. The cheaper gives way, among
equals the oldest of whoever holds most, and so a crowd that holds all it can get crowds out its own first.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar

HEAD_TIMEOUT_S = 15.0
"""A request's head fits QUIC's first flight: this is for slow links and lost packets, not for slow writers."""
WAIT_TIMEOUT_S = 120.0
"""Between two requests; aiohttp closes after 90 s, but not for whoever sends a byte now and then."""
PACE_S = 10.0
PACE_BYTES_PER_S = 1024
PAYERS_KNOWN = 4096

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True)
class Limits:
    """What callers may take of us. QUIC holds up to 1.25 MB of each open stream until it is read."""

    connections: int = 1024  # of all nodes together
    connections_per_node: int = 4
    streams: int = 1024  # of all nodes together
    streams_per_node: int = 100  # also what iroh's QUIC grants one connection
    half_open: int = 256  # of the streams, those whose first request has not come whole; payers' do not count
    handshakes: int = 256  # under way at once
    unproven_handshakes: int = 16  # from so many on, callers first prove that their address is theirs


class Stage(IntEnum):
    """What a stream has come to."""

    OPENED = 0  # nothing has been read of it yet
    ASKING = 1  # part of its first request's head has been read
    WAITING = 2  # between two requests
    WORKING = 3  # a whole head has been read, the answer has not ended
    STALLED = 4  # the same, but its body does not come and its answer does not end


_GIVES_WAY = tuple((pays, stage) for pays in (False, True) for stage in (Stage.ASKING, Stage.WAITING, Stage.STALLED))


class Crowd(Generic[T]):
    """Members in groups. The next to go is the oldest of the largest group, of the longest known one among equals."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[T, None]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def of(self, group: str) -> list[T]:
        """The members of one group, the oldest first."""
        return list(self._groups.get(group, ()))

    def groups_with(self, group: str) -> int:
        """How many groups there are once one of `group` has come."""
        return len(self._groups) + (group not in self._groups)

    def count(self, group: str) -> int:
        return len(self._groups.get(group, ()))

    def add(self, member: T, group: str) -> None:
        self._groups.setdefault(group, {})[member] = None
        self._size += 1

    def discard(self, member: T, group: str) -> None:
        members = self._groups.get(group)
        if members is not None and member in members:
            del members[member]
            self._size -= 1
            if not members:
                del self._groups[group]

    def next_to_go(self) -> T | None:
        largest: dict[T, None] = max(self._groups.values(), key=len, default={})
        return next(iter(largest), None)


class Room(Generic[T]):
    """The streams that callers have open, and who has paid lately."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._places: dict[T, tuple[str, Stage]] = {}
        self._of_node: Counter[str] = Counter()
        self._payers: dict[str, None] = {}
        # Those of nodes that have not paid, and of those that have, by stage.
        self._crowds: tuple[list[Crowd[T]], list[Crowd[T]]] = ([Crowd() for _ in Stage], [Crowd() for _ in Stage])

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._places))

    def pays(self, node_id: str) -> bool:
        """Whether that node has paid for something, and is among the last `PAYERS_KNOWN` that did."""
        return node_id in self._payers

    def may_open(self, node_id: str, nodes: int) -> bool:
        """Whether a node may have another stream, be it in place of one that gives way.

        Whoever comes first takes half of the streams; the other half is shared out among all nodes that are connected
        (so many are `nodes`), so that a crowd which holds all it can get leaves room for others. Requests that do not
        come whole are shared out among those who send such, once there are too many of them. Payers have no such share,
        only their limit.
        """
        own = self._of_node[node_id]
        if own >= self._limits.streams_per_node:
            return False
        if self.pays(node_id):
            return True
        asking = self._crowds[False][Stage.ASKING]
        share = _share(self._limits.half_open, asking.groups_with(node_id))
        if len(asking) >= self._limits.half_open and asking.count(node_id) >= share:
            return False
        reserved = self._limits.streams // 2
        return len(self) < self._limits.streams - reserved or own < _share(reserved, nodes)

    def add(self, stream: T, node_id: str) -> None:
        """Takes in a stream that was just opened; `to_leave` tells whether another one has to go for it."""
        self._places[stream] = (node_id, Stage.OPENED)
        self._of_node[node_id] += 1
        self._crowds[self.pays(node_id)][Stage.OPENED].add(stream, node_id)

    def move(self, stream: T, stage: Stage) -> None:
        """Notes what a stream has come to; one that is gone is let be."""
        if stream in self._places:
            node_id, before = self._places[stream]
            crowds = self._crowds[node_id in self._payers]
            crowds[before].discard(stream, node_id)
            crowds[stage].add(stream, node_id)
            self._places[stream] = (node_id, stage)

    def remove(self, stream: T) -> None:
        """Notes that a stream is gone; a second time does nothing."""
        if stream not in self._places:
            return
        node_id, stage = self._places.pop(stream)
        self._crowds[self.pays(node_id)][stage].discard(stream, node_id)
        self._of_node[node_id] -= 1
        if not self._of_node[node_id]:
            del self._of_node[node_id]

    def paid(self, node_id: str) -> None:
        """Notes that a node has paid: from now on it gives way after those that have not."""
        if self.pays(node_id):
            del self._payers[node_id]  # it comes last again
        else:
            self._change_sides(node_id, pays=True)
        self._payers[node_id] = None
        if len(self._payers) > PAYERS_KNOWN:
            forgotten = next(iter(self._payers))
            del self._payers[forgotten]
            self._change_sides(forgotten, pays=False)

    def _change_sides(self, node_id: str, *, pays: bool) -> None:
        for stage in Stage:
            source, target = self._crowds[not pays][stage], self._crowds[pays][stage]
            for stream in source.of(node_id):
                source.discard(stream, node_id)
                target.add(stream, node_id)

    def to_leave(self, newcomer: str) -> T | None:
        """The stream that has to go, None while there is room for all; to be asked after each one that comes.

        What asks for nothing, waits or stalls gives way to every newcomer, that of payers last; what is being answered
        only to a payer, and only where its own node has not paid. When nothing gives way it is a newcomer that goes.
        """
        asking = self._crowds[False][Stage.ASKING]
        if len(asking) > self._limits.half_open:
            return asking.next_to_go()
        if len(self) <= self._limits.streams:
            return None
        order = [*_GIVES_WAY, (False, Stage.OPENED)]
        if self.pays(newcomer):
            order += [(False, Stage.WORKING), (True, Stage.OPENED)]
        return next((crowd.next_to_go() for pays, stage in order if (crowd := self._crowds[pays][stage])), None)


def _share(room: int, nodes: int) -> int:
    return max(1, room // max(1, nodes))


def is_overdue(stage: Stage, seconds: float) -> bool:
    """Whether a stream has been in that stage for too long, however much room there is."""
    if stage in (Stage.OPENED, Stage.ASKING):
        return seconds > HEAD_TIMEOUT_S
    return stage is Stage.WAITING and seconds > WAIT_TIMEOUT_S


def keeps_pace(received: int, seconds: float) -> bool:
    """Whether a request's body comes at a rate that its place is worth."""
    return received >= PACE_BYTES_PER_S * seconds


def source_of(address: str) -> str:
    """What of "ip:port" an attacker cannot choose freely: an IPv4 address, the first half of an IPv6 one."""
    host = address.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.IPv6Network((ip, 64), strict=False))
    return host
