"""Proofs that the real contract accepts, period after period; faults when there are none; pay that arrives."""

from __future__ import annotations

import pytest

from depin_desktop.api.models import ServiceState

from .storage_market import market, pieces_of, root_of


@pytest.fixture
async def provider(make_home):
    return await make_home()


@pytest.fixture
async def m(provider, chain, warp, new_account):
    async with market(provider, chain, warp, await new_account()) as made:
        yield made


async def test_two_sets_are_proven_in_one_transaction_for_several_periods_and_paid(m):
    first = await m.open(*pieces_of(1, 256, 257, 70_000, 2_000_003))
    second = await m.open(*pieces_of(300_000))
    payout = (await m.chain.registry.provider(m.provider)).payout
    start = await m.chain.token.balance_of(payout)
    leaves = {s: sum(p.leaf_count for p in m.sets[s][1]) for s in (first, second)}
    periods = []
    for _ in range(3):
        await m.warp.to_next_period()
        periods.append(await m.prove())
        for set_id in (first, second):
            assert await m.chain.deals.is_proven(set_id, periods[-1])
    status = await m.status()
    due = m.price * sum(leaves.values())
    records = {record.period: record for record in status.proofs if record.period in periods}
    assert sorted(records) == periods
    assert all((r.proven, r.data_sets, r.paid) == (True, 2, due) for r in records.values())
    assert len({record.transaction for record in records.values()}) == 3
    assert (status.service.state, status.service.earned_total) == (ServiceState.EARNING, 3 * due)
    assert {one.earned for one in status.data_sets} == {3 * m.price * count for count in leaves.values()}
    await m.warp.to_next_period()
    await m.rig.service.proving.trigger_and_wait()
    arrived = await m.chain.token.balance_of(payout) - start
    assert arrived + await m.chain.deals.owed(m.provider) == 3 * due
    assert arrived >= 2 * due


async def test_the_last_proof_and_the_next_one_are_told(m):
    await m.open(*pieces_of(5000))
    await m.warp.to_next_period()
    await m.rig.service.proving.trigger_and_wait()
    deals = m.chain.deals
    period = await deals.current_period()
    window = await deals.genesis() + (period + 1) * await deals.period_s() - await deals.window_s()
    assert (await m.status()).next_proof_at == window
    assert (await m.status()).last_proven_at is None
    await m.prove()
    assert (await m.status()).last_proven_at is not None
    assert (await m.status()).next_proof_at == window + await deals.period_s()


async def test_a_missed_period_is_told_once_and_forgotten_after_the_next_proof(m):
    set_id = await m.open(*pieces_of(5000))
    await m.warp.to_next_period()
    missed = await m.chain.deals.current_period()
    await m.warp.to_next_period()
    with m.rig.bus.subscribe() as news:
        await m.rig.service.proving.trigger_and_wait()
        await m.rig.service.proving.trigger_and_wait()
        assert [a.title for a in m.activities(news, "fault")] == ["A proof was missed"]
    status = await m.status()
    assert (status.service.state, "missed" in status.service.reason) == (ServiceState.ATTENTION, True)
    assert [(r.period, r.proven) for r in status.proofs] == [(missed, False)]
    receipt = await m.sender.send(m.chain.deals.report_fault(set_id, missed), purpose="anybody may report it")
    assert receipt.event("Faulted").args["slashed"] > 0
    await m.prove()
    assert (await m.status()).service.state is ServiceState.EARNING


async def test_a_damaged_piece_fails_its_own_set_only(m):
    bad, good = pieces_of(900, 900_000)
    broken, whole = await m.open(bad), await m.open(good)
    path = m.rig.piece_path(root_of(bad))
    path.write_bytes(bytes(900))
    await m.warp.to_next_period()
    with m.rig.bus.subscribe() as news:
        period = await m.prove()
        titles = [a.title for a in m.activities(news, "fault")]
    assert titles == ["A stored piece is damaged", "A proof cannot be given"]
    assert await m.chain.deals.is_proven(whole, period)
    assert not await m.chain.deals.is_proven(broken, period)
    assert (await m.status()).service.state is ServiceState.ATTENTION
    assert (await m.rig.put(bad))[0] == 201  # the customer brings the bytes again, in time
    await m.rig.service.proving.trigger_and_wait()
    assert await m.chain.deals.is_proven(broken, period)


@pytest.mark.parametrize("damage", [lambda whole: bytes(len(whole)), lambda whole: b"short", lambda whole: b""])
async def test_a_damaged_layer_does_not_lose_the_proof(m, damage):
    data = pieces_of(900_000)[0]
    set_id = await m.open(data)
    layer = m.rig.piece_path(root_of(data)).with_suffix(".layer")
    whole = layer.read_bytes()
    layer.write_bytes(damage(whole))
    await m.warp.to_next_period()
    assert await m.chain.deals.is_proven(set_id, await m.prove())
    assert layer.read_bytes() == whole


async def test_a_restarted_provider_goes_on_proving(provider, chain, warp, new_account):
    customer = await new_account()
    async with market(provider, chain, warp, customer) as m:
        set_id = await m.open(*pieces_of(5000))
        await warp.to_next_period()
        await m.prove()
    async with market(provider, chain, warp, customer) as m:
        await warp.to_next_period()
        assert await chain.deals.is_proven(set_id, await m.prove())
        assert [(r.proven) for r in (await m.status()).proofs] == [True, True]


async def test_a_lost_database_is_rebuilt_from_disk_and_chain(provider, chain, warp, new_account):
    customer = await new_account()
    async with market(provider, chain, warp, customer) as m:
        set_id = await m.open(*pieces_of(5000, 80_000))
    for name in ("engine.sqlite", "engine.sqlite-wal", "engine.sqlite-shm"):
        (provider.root / name).unlink(missing_ok=True)
    async with market(provider, chain, warp, customer, index=True) as m:
        await warp.to_next_period()
        assert await chain.deals.is_proven(set_id, await m.prove())
        m.rig.service._pieces._clock = lambda: 2e9 + 7200
        await m.rig.service.expiring.trigger_and_wait()
        assert (await m.status()).pieces == 2


async def test_a_set_that_is_paid_from_an_empty_escrow_is_told_as_unfunded(m):
    set_id = await m.open(*pieces_of(5000))
    terms, pieces = m.sets[set_id]
    more = await m.upload(*pieces_of(9_000_000))
    status, problem = await m.post(terms, await m.body(terms, more, first=1, amount=0))
    assert (status, problem["code"]) == (400, "underfunded")
    assert (await m.status()).data_sets[0].state == "active"
    assert len(pieces) == 1


async def test_a_chain_that_was_set_back_is_dealt_with_and_proven_to_again(m):
    rpc = m.chain.rpc
    terms, pieces = await m.terms(), await m.upload(*pieces_of(5000))
    body = await m.body(terms, pieces)
    snapshot = await rpc.request("evm_snapshot")
    status, answer = await m.post(terms, body)
    assert status == 200
    assert await rpc.request("evm_revert", snapshot)
    status, answer = await m.post(terms, body)
    assert (status, len(answer["transactions"])) == (200, 1)
    set_id = bytes.fromhex(answer["set_id"][2:])
    await m.warp.to_next_period()
    await m.warp.to_window()
    snapshot = await rpc.request("evm_snapshot")
    period = await m.prove()
    assert await m.chain.deals.is_proven(set_id, period)
    assert await rpc.request("evm_revert", snapshot)
    assert not await m.chain.deals.is_proven(set_id, period)
    await m.prove()
    assert await m.chain.deals.is_proven(set_id, period)
