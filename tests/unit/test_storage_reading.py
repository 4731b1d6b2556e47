"""Downloads: whole, in ranges, paid, and never charged for what cannot be delivered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from depin_desktop.core.units import MIB
from depin_desktop.sealing import seal
from depin_desktop.services.storage import policy

from .storage_rig import NETWORK, Rig, noise, rig


@dataclass
class Till:
    """A paywall that takes a password instead of vouchers."""

    charged: list[tuple[int, str]] = field(default_factory=list)

    @dataclass
    class Paid:
        headers: Mapping[str, str]

    async def charge(self, request: web.Request, amount: int, description: str) -> Any:
        if request.headers.get("X-Pay") != "yes":
            raise web.HTTPPaymentRequired(text="{}", headers={"PAYMENT-REQUIRED": "abc"})
        self.charged.append((amount, description))
        return self.Paid({"PAYMENT-RESPONSE": "def"})


def with_till(r: Rig) -> Till:
    till = Till()
    r.service._paywall = till
    return till


DATA = noise(2 * MIB + 333)
ROOT = seal(DATA).root.hex()


async def test_a_piece_comes_back_whole(tmp_path: Path):
    async with rig(tmp_path) as r:
        await r.put(DATA)
        status, body, headers = await r.get(ROOT)
        assert (status, body) == (200, DATA)
        assert headers["Accept-Ranges"] == "bytes"
        assert headers["Content-Length"] == str(len(DATA))


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        (f"bytes={MIB}-", MIB, len(DATA)),
        ("bytes=-5", len(DATA) - 5, len(DATA)),
        (f"bytes=1000000-{10**12}", 1_000_000, len(DATA)),
        (f"bytes=-{10**12}", 0, len(DATA)),
    ],
)
async def test_a_range_comes_back_exactly(tmp_path: Path, asked: str, start: int, end: int):
    async with rig(tmp_path) as r:
        await r.put(DATA)
        till = with_till(r)
        status, body, headers = await r.get(ROOT, Range=asked, **{"X-Pay": "yes"})
        assert (status, body) == (206, DATA[start:end])
        assert headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(DATA)}"
        assert till.charged == [(policy.read_price(end - start, NETWORK.suggested_price_per_gib_read), f"read {ROOT}")]


async def test_ranges_outside_are_refused_and_nonsense_is_ignored(tmp_path: Path):
    async with rig(tmp_path) as r:
        await r.put(DATA)
        assert (await r.get(ROOT, Range=f"bytes={len(DATA)}-"))[0] == 416
        for nonsense in ("bytes=9-3", "bytes=a-b", "pages=1-2", "bytes=0-1,5-6"):
            assert (await r.get(ROOT, Range=nonsense))[:2] == (200, DATA)


async def test_an_unpaid_read_is_402_and_a_paid_one_carries_the_receipt(tmp_path: Path):
    async with rig(tmp_path) as r:
        await r.put(DATA)
        till = with_till(r)
        status, body, headers = await r.get(ROOT)
        assert (status, headers["PAYMENT-REQUIRED"]) == (402, "abc")
        assert till.charged == []
        status, body, headers = await r.get(ROOT, **{"X-Pay": "yes"})
        assert (status, body, headers["PAYMENT-RESPONSE"]) == (200, DATA, "def")


async def test_nothing_is_charged_for_what_is_not_there(tmp_path: Path):
    async with rig(tmp_path) as r:
        await r.put(DATA)
        till = with_till(r)
        assert (await r.get("00" * 32, **{"X-Pay": "yes"}))[0] == 404
        r.piece_path(ROOT).unlink()
        assert (await r.get(ROOT, **{"X-Pay": "yes"}))[0] == 404
        assert till.charged == []
        assert r.service.storage_status().folders[0].pieces == 0


async def test_head_tells_the_size_for_free(tmp_path: Path):
    async with rig(tmp_path) as r:
        await r.put(DATA)
        with_till(r)
        async with r.client.head(f"/storage/pieces/{ROOT}") as response:
            assert (response.status, response.headers["Content-Length"]) == (200, str(len(DATA)))
        async with r.client.head("/storage/pieces/" + "00" * 32) as response:
            assert response.status == 404


async def test_what_moves_is_measured(tmp_path: Path):
    async with rig(tmp_path) as r:
        await r.put(DATA)
        await r.get(ROOT)
        rates = r.service._rates
        assert (rates.received_total, rates.sent_total) == (len(DATA), len(DATA))


async def test_terms_say_what_and_who(tmp_path: Path):
    async with rig(tmp_path) as r:
        async with r.client.get("/storage/terms") as response:
            terms = await response.json()
        assert (terms["owner"], terms["operator"]) == (r.owner, r.operator.address)
        assert terms["price_per_leaf_period"] == str(policy.leaf_period_price(10**18, 60))
        assert 0 < terms["free_bytes"] <= 64 * MIB
        assert terms["min_term_s"] == 120
