"""Files go to real providers and come back: any code, any range, with providers that die, lie or are missing."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest

from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import MIB
from depin_desktop.customer import upload
from depin_desktop.customer.deposits import deposits
from depin_desktop.customer.session import Customer
from depin_desktop.payments.payer import Budget, TopUp

from .customer_world import content, sellers, write

SEGMENT = 1 * MIB
TERM_S = 30 * 86_400


async def put(customer: Customer, path: Path, code: tuple[int, int] = (1, 1), **options: Any):  # type: ignore[no-untyped-def]
    return await customer.put(path, code=code, segment_bytes=SEGMENT, **options)


@pytest.mark.parametrize("size", [0, 1, 100_000, 3 * MIB + 17])
async def test_a_file_comes_back_identical(network, make_home, tmp_path: Path, size: int) -> None:
    data = write(tmp_path / "original.bin", size)
    async with sellers(make_home, network, 1) as (provider,):
        async with Customer.open(await make_home("customer")) as customer:
            steps: list[tuple[int, int]] = []
            stored = await put(customer, tmp_path / "original.bin", progress=lambda *step: steps.append(step))
            assert (stored.name, stored.size, stored.needed, stored.total) == ("original.bin", size, 1, 1)
            assert steps[-1] == (size, size)
            assert steps == sorted(steps)
            fetched = await customer.get(
                stored.locator, tmp_path / "back.bin", progress=lambda *step: steps.append(step)
            )
            assert steps[-1] == (size, size)
            assert (tmp_path / "back.bin").read_bytes() == data
            assert (fetched.name, fetched.size, fetched.liars) == ("original.bin", size, ())
            assert [file.locator for file in await customer.files()] == [stored.locator]
            assert provider.paywall.pending() > 0
        # Names and contents never reach a provider.
        held = b"".join(path.read_bytes() for path in provider.rig.folder.rglob("*.piece"))
        assert b"original" not in held
        assert size < 100 or data[:64] not in held
        await provider.paywall.claim()
        assert await provider.paywall.settle() > 0


async def test_any_two_of_four_providers_suffice(network, make_home, tmp_path: Path) -> None:
    data = write(tmp_path / "original.bin", 3 * MIB + 17)
    async with sellers(make_home, network, 4) as providers:
        async with Customer.open(await make_home("customer")) as customer:
            stored = await put(customer, tmp_path / "original.bin", code=(2, 4))
        assert all(provider.stored == 5 for provider in providers)  # four segments and the manifest
        await providers[0].leave()
        await providers[1].leave()
        async with Customer.open(await make_home("reader")) as reader:
            await reader.get(stored.locator, tmp_path / "back.bin")
            assert (tmp_path / "back.bin").read_bytes() == data
            assert await reader.read(stored.locator, MIB - 10, 20) == data[MIB - 10 : MIB + 10]


async def test_too_few_answers_are_an_error_and_leave_no_file(network, make_home, tmp_path: Path) -> None:
    write(tmp_path / "original.bin", 2 * MIB)
    async with sellers(make_home, network, 3) as providers, Customer.open(await make_home("customer")) as customer:
        stored = await put(customer, tmp_path / "original.bin", code=(2, 3))
        for provider in providers[:2]:
            provider.refuse.add("GET")
        with pytest.raises(UserFacingError) as lost:
            await customer.get(stored.locator, tmp_path / "none.bin")
        assert lost.value.code == "file-unavailable"
        assert [path.name for path in sorted(tmp_path.iterdir()) if "none" in path.name] == []  # noqa: ASYNC240


async def test_a_provider_that_lies_is_named_and_another_one_asked(network, make_home, tmp_path: Path) -> None:
    data = write(tmp_path / "original.bin", 2 * MIB)
    async with sellers(make_home, network, 3) as providers:
        async with Customer.open(await make_home("customer")) as customer:
            stored = await put(customer, tmp_path / "original.bin", code=(2, 3))
            liar = providers[0]
            assert liar.damage() == 2
            fetched = await customer.get(stored.locator, tmp_path / "back.bin")
            assert (tmp_path / "back.bin").read_bytes() == data
            assert fetched.liars in ((liar.owner,), ())
            assert await customer.read(stored.locator, 0, 2 * MIB) == data
        async with Customer.open(await make_home("second")) as reader:
            assert providers[1].damage() == 2
            with pytest.raises(UserFacingError) as lost:
                await reader.get(stored.locator, tmp_path / "none.bin")
            assert "sent a changed piece" in lost.value.message


async def test_a_broken_transfer_goes_on_where_it_was(network, make_home, tmp_path: Path) -> None:
    data = write(tmp_path / "original.bin", 2 * MIB)
    async with sellers(make_home, network, 1) as (provider,), Customer.open(await make_home("customer")) as customer:
        stored = await put(customer, tmp_path / "original.bin")
        provider.cut = 2
        provider.requests.clear()
        await customer.get(stored.locator, tmp_path / "back.bin")
        assert (tmp_path / "back.bin").read_bytes() == data
        assert any("bytes=" in request for request in provider.requests)  # only the rest was asked for, and paid


async def test_ranges_cost_little_more_than_their_bytes(network, make_home, tmp_path: Path) -> None:
    data = write(tmp_path / "original.bin", 5 * MIB)
    async with sellers(make_home, network, 2) as providers, Customer.open(await make_home("customer")) as customer:
        stored = await put(customer, tmp_path / "original.bin", code=(2, 2))
        for provider in providers:
            provider.requests.clear()
        for start, length in ((0, 10), (MIB - 5, 10), (5 * MIB - 3, 100), (2 * MIB, 0), (700_000, 900_000)):
            assert await customer.read(stored.locator, start, length) == data[start : start + length]
        asked = [request.split("bytes=")[1] for p in providers for request in p.requests if "bytes=" in request]
        fetched = sum(int(end) - int(start) + 1 for start, end in (span.split("-") for span in asked))
        assert fetched < 3 * MIB
        with pytest.raises(ValueError, match="range"):
            await customer.read(stored.locator, -1, 5)


@pytest.mark.parametrize(("code", "size"), [((1, 1), 70_000), ((1, 1), 3 * MIB + 17), ((2, 3), 3 * MIB + 17)])
async def test_a_first_get_asks_each_provider_once_for_a_deposit_that_covers_it(
    network, chain, make_home, tmp_path: Path, code: tuple[int, int], size: int
) -> None:
    data = write(tmp_path / "original.bin", size)
    asked: list[TopUp] = []

    async def allow(wish: TopUp) -> bool:
        asked.append(wish)
        return True

    home = await make_home("customer")
    async with sellers(make_home, network, code[1]) as providers:
        async with Customer.open(home, budget=Budget(ask=allow)) as customer:
            stored = await put(customer, tmp_path / "original.bin", code=code)
            await customer.get(stored.locator, tmp_path / "back.bin")
            assert (tmp_path / "back.bin").read_bytes() == data
        read = [p for p in providers if any(request.startswith("GET /storage/pieces") for request in p.requests)]
        assert sorted(wish.provider for wish in asked) == sorted(provider.owner for provider in read)
        assert len(read) == code[0]
        rows = Database(home.customer_database)
        await rows.open()
        try:
            lying = {one.provider: one for one in await deposits(chain, rows)}
        finally:
            await rows.close()
        for provider in read:
            (amount,) = (wish.amount for wish in asked if wish.provider == provider.owner)
            spent, deposit = provider.paywall.pending(), lying[provider.owner]
            assert (deposit.channels, deposit.left) == (1, amount)
            assert 0 < spent <= amount
            if size > MIB and provider.owner == asked[0].provider:  # the manifest's; any other one is a usual first one
                assert amount < spent * 11 // 10


async def test_a_first_range_is_deposited_for_together_with_the_manifest(network, make_home, tmp_path: Path) -> None:
    data = write(tmp_path / "original.bin", 6 * MIB)
    asked: list[TopUp] = []

    async def allow(wish: TopUp) -> bool:
        asked.append(wish)
        return True

    async with (
        sellers(make_home, network, 1) as (provider,),
        Customer.open(await make_home("customer"), budget=Budget(ask=allow)) as customer,
        Customer.open(await make_home("reader"), budget=Budget(ask=allow)) as reader,
    ):
        stored = await put(customer, tmp_path / "original.bin")
        for who in (customer, reader):  # who only has the locator does not know the file's size, but the range's
            asked.clear()
            for start in range(0, 5 * MIB, MIB):
                assert await who.read(stored.locator, start, 1000) == data[start : start + 1000]
            assert [wish.provider for wish in asked] == [provider.owner]


async def test_a_budget_that_covers_half_a_get_is_used_up_and_not_passed(network, make_home, tmp_path: Path) -> None:
    write(tmp_path / "original.bin", 4 * MIB)
    async with sellers(make_home, network, 1) as (provider,):
        home, price = await make_home("customer"), provider.rig.service.offer().price_per_gib_read
        limit = 2 * MIB * price // 2**30
        async with Customer.open(home, budget=Budget(limit)) as customer:
            stored = await put(customer, tmp_path / "original.bin")
            with pytest.raises(UserFacingError) as stopped:
                await customer.get(stored.locator, tmp_path / "back.bin")
            assert "budget" in stopped.value.message
            assert MIB * price // 2**30 <= provider.paywall.pending() <= limit


async def test_a_stream_is_stored_like_a_file(network, make_home) -> None:
    async with sellers(make_home, network, 1), Customer.open(await make_home("customer")) as customer:
        stored = await customer.put(io.BytesIO(b"hello"), name="greeting")
        assert await customer.read(stored.locator, 0, 100) == b"hello"
        assert (await customer.find("greeting")) == stored.model_copy(update={"transfer_s": 0, "chain_s": 0})


async def test_what_is_missing_is_said_before_anything_is_sent(
    network, make_home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "OFFERS_TIMEOUT_S", 1.0)
    write(tmp_path / "original.bin", 100_000)
    async with Customer.open(await make_home("customer")) as customer:
        with pytest.raises(UserFacingError) as none:
            await put(customer, tmp_path / "original.bin")
        assert none.value.code == "no-providers"
        async with sellers(make_home, network, 2) as providers:
            with pytest.raises(UserFacingError) as few:
                await put(customer, tmp_path / "original.bin", code=(2, 3))
            assert few.value.code == "too-few-providers"
            with pytest.raises(UserFacingError) as unreadable:
                await put(customer, tmp_path / "nothing.bin")
            assert unreadable.value.code == "unreadable-file"
            async with Customer.open(await make_home("poor", spending_budget=0)) as poor:
                with pytest.raises(UserFacingError) as funds:
                    await put(poor, tmp_path / "original.bin")
                assert funds.value.code == "insufficient-funds"
            assert [provider.requests for provider in providers] == [[], []]
            assert await customer.files() == []


async def test_an_interrupted_put_goes_on_and_sends_nothing_twice(network, make_home, tmp_path: Path) -> None:
    data = write(tmp_path / "original.bin", 16 * MIB)
    home = await make_home("customer")
    async with sellers(make_home, network, 1, share=21 * MIB) as (provider,):
        half = asyncio.Event()

        def watch(done: int, total: int) -> None:
            if done > total // 2:
                half.set()

        async with Customer.open(home) as customer:
            putting = asyncio.create_task(put(customer, tmp_path / "original.bin", progress=watch))
            await half.wait()
            putting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await putting
            assert await customer.files() == []
        before = provider.stored
        assert 1 <= before < 16
        provider.requests.clear()
        await provider.offer()  # what it has left is room for the rest, and not for all of it
        async with Customer.open(home) as customer:
            stored = await put(customer, tmp_path / "original.bin")
            puts = [request for request in provider.requests if request.startswith("PUT")]
            assert len(puts) <= 17 - before + 2  # two are on their way at once, without a receipt yet
            await customer.get(stored.locator, tmp_path / "back.bin")
        assert (tmp_path / "back.bin").read_bytes() == data


async def test_a_changed_file_is_not_mistaken_for_the_interrupted_one(network, make_home, tmp_path: Path) -> None:
    import os

    path, home = tmp_path / "original.bin", await make_home("customer")
    write(path, 4 * MIB)
    stamp = path.stat().st_mtime_ns
    async with sellers(make_home, network, 1) as (provider,), Customer.open(home) as customer:
        provider.refuse.add("POST")  # everything is sent, nothing is committed
        with pytest.raises(UserFacingError):
            await put(customer, path)
        provider.refuse.clear()
        changed = path.read_bytes()[: 3 * MIB] + content(MIB, seed=9)
        path.write_bytes(changed)
        os.utime(path, ns=(stamp, stamp))  # the same size, time and head
        stored = await put(customer, path)
        await customer.get(stored.locator, tmp_path / "back.bin")
        assert len((tmp_path / "back.bin").read_bytes()) == 4 * MIB


async def test_pieces_that_a_provider_let_go_are_sent_again(network, make_home, tmp_path: Path) -> None:
    data = write(tmp_path / "original.bin", 2 * MIB)
    home = await make_home("customer")
    async with sellers(make_home, network, 1) as (provider,), Customer.open(home) as customer:
        provider.refuse.add("POST")
        with pytest.raises(UserFacingError):
            await put(customer, tmp_path / "original.bin")
        for path in provider.rig.folder.rglob("*.piece"):
            path.unlink()  # as after the hour that receipts last
        await provider.rig.database.execute("UPDATE storage_pieces SET state = 'lost'")
        provider.refuse.clear()
        stored = await put(customer, tmp_path / "original.bin")
        await customer.get(stored.locator, tmp_path / "back.bin")
        assert (tmp_path / "back.bin").read_bytes() == data


async def test_another_provider_takes_the_place_of_one_that_fails(network, make_home, tmp_path: Path) -> None:
    data = write(tmp_path / "original.bin", 4 * MIB)
    async with sellers(make_home, network, 3) as providers:
        async with Customer.open(await make_home("customer")) as customer:
            chosen: list[str] = []

            def watch(done: int, total: int) -> None:
                if done > total // 2 and not chosen:
                    first = next(provider for provider in providers if provider.stored)
                    first.refuse.add("PUT")
                    chosen.append(first.owner)

            stored = await put(customer, tmp_path / "original.bin", code=(1, 2), progress=watch)
            await customer.get(stored.locator, tmp_path / "back.bin")
            assert (tmp_path / "back.bin").read_bytes() == data
            holders = {owner for owner, _, _ in await customer._catalogue.pieces_of(stored.locator)}
            assert chosen[0] not in holders
            assert len(holders) == 2
        # With nobody left to take over, the put says so and can go on later.
        for provider in providers:
            provider.refuse.add("PUT")
        async with Customer.open(await make_home("second")) as customer:
            with pytest.raises(UserFacingError) as failed:
                await put(customer, tmp_path / "original.bin", code=(1, 2))
            assert failed.value.code == "providers-failed"
            for provider in providers:
                provider.refuse.clear()
            assert (await put(customer, tmp_path / "original.bin", code=(1, 2))).size == 4 * MIB


async def test_puts_share_a_data_set_and_are_funded_to_the_unit(network, chain, make_home, tmp_path: Path) -> None:
    async with sellers(make_home, network, 1) as (provider,), Customer.open(await make_home("customer")) as customer:
        for seed in range(3):
            write(tmp_path / f"{seed}.bin", 50_000, seed)
        stored = [await put(customer, tmp_path / f"{seed}.bin") for seed in range(3)]
        sets = {set_id for file in stored for _, set_id, _ in await customer._catalogue.pieces_of(file.locator)}
        assert len(sets) == 1
        state = await chain.deals.data_set(sets.pop())
        assert state.piece_count == 6
        assert state.escrow <= sum(file.cost for file in stored)
        assert state.expires >= await chain.now() + TERM_S
        assert state.expires <= await chain.now() + TERM_S * 9 // 8
        assert provider.owner == state.provider


async def test_puts_at_the_same_time_do_not_get_in_each_others_way(network, chain, make_home, tmp_path: Path) -> None:
    async with sellers(make_home, network, 1), Customer.open(await make_home("customer")) as customer:
        data = [write(tmp_path / f"{seed}.bin", 50_000 + seed, seed) for seed in range(4)]
        stored = await asyncio.gather(*(put(customer, tmp_path / f"{seed}.bin") for seed in range(4)))
        for seed, file in enumerate(stored):
            assert await customer.read(file.locator, 0, 10**6) == data[seed]
        pieces = [place for file in stored for place in await customer._catalogue.pieces_of(file.locator)]
        assert len({(set_id, piece_id) for _, set_id, piece_id in pieces}) == 8
        (set_id,) = {set_id for _, set_id, _ in pieces}
        assert (await chain.deals.data_set(set_id)).piece_count == 8


async def test_a_removed_file_is_no_longer_paid(network, chain, warp, make_home, tmp_path: Path) -> None:
    write(tmp_path / "a.bin", 50_000)
    write(tmp_path / "b.bin", 60_000, 2)
    async with sellers(make_home, network, 1) as (provider,), Customer.open(await make_home("customer")) as customer:
        first, second = await put(customer, tmp_path / "a.bin"), await put(customer, tmp_path / "b.bin")
        ((_, set_id, _), *_) = await customer._catalogue.pieces_of(first.locator)
        before = (await chain.deals.data_set(set_id)).leaf_count
        provider.refuse.add("DELETE")
        with pytest.raises(UserFacingError) as later:
            await customer.remove(first.locator)
        assert later.value.code == "partly-removed"
        assert len(await customer.files()) == 2
        provider.refuse.clear()
        await customer.remove(first.locator)
        assert [file.name for file in await customer.files()] == ["b.bin"]
        await warp.to_next_period()
        assert (await chain.deals.data_set(set_id)).leaf_count < before
        with pytest.raises(UserFacingError) as unknown:
            await customer.remove(first.locator)
        assert unknown.value.code == "unknown-file"
        assert (await customer.find("b.bin")) is not None
        assert second.name == "b.bin"


async def test_a_listing_needs_no_network(network, make_home, tmp_path: Path) -> None:
    home = await make_home("customer")
    async with Customer.open(home, offline=True) as customer:
        assert await customer.files() == []
        with pytest.raises(UserFacingError) as offline:
            await customer.put(__file__)
        assert offline.value.code == "offline"
    assert home.customer_database.stat().st_mode & 0o777 == 0o600
