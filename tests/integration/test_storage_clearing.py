"""What a provider does about pay, and about data sets that are over: settled when worth it, escrow sent back."""

from __future__ import annotations

import pytest

from depin_desktop.chain import typed_data
from depin_desktop.services.storage import policy

from .storage_market import market, pieces_of, root_of


@pytest.fixture
async def m(make_home, chain, warp, new_account):
    async with market(await make_home(), chain, warp, await new_account()) as made:
        yield made


async def settling_fee(m) -> int:
    return await m.rig.service._link.fee(m.chain.deals.settle(m.provider))


async def price_gas(m, fee: int) -> None:
    """Makes settling cost about `fee` base units from now on."""
    wei = 78_000 * int(await m.chain.rpc.request("eth_gasPrice"), 16)
    m.chain.network = m.chain.network.model_copy(update={"tokens_per_coin": max(1, 10**18 * fee // wei)})


async def end(m, set_id: bytes) -> None:
    """The customer ends a data set; its last period passes."""
    signature = typed_data.sign_terminate(m.customer, m.chain.network, set_id)
    path, body = f"/storage/sets/0x{set_id.hex()}/terminate", {"signature": "0x" + signature.hex()}
    async with m.rig.client.post(path, json=body) as response:
        assert response.status == 200
    await m.warp.to_next_period()


async def sent(m) -> int:
    """How many transactions the provider's operator has sent."""
    return int(await m.chain.rpc.request("eth_getTransactionCount", m.sender.address, "latest"), 16)


async def escrow(m, set_id: bytes) -> int:
    return (await m.chain.deals.data_set(set_id)).escrow


async def test_pay_is_settled_as_soon_as_its_fee_is_a_fiftieth_of_it(m):
    await m.open(*pieces_of(2_000_003))
    payout = (await m.chain.registry.provider(m.provider)).payout
    before = await m.chain.token.balance_of(payout)
    await m.warp.to_next_period()
    due = m.price * m.sets[next(iter(m.sets))][1][0].leaf_count
    owed, proven = 0, 0
    while proven == 0 or owed:
        await m.prove()
        proven += 1
        owed = await m.chain.deals.owed(m.provider)
        if proven == 1:
            assert owed == 0  # gas had no price until now
            before += due
            await price_gas(m, due // 10)
            owed = 1
        elif owed:
            assert await settling_fee(m) * 50 > owed == due * (proven - 1)
        await m.warp.to_next_period()
        assert proven < 20
    assert proven > 2
    assert await m.chain.token.balance_of(payout) == before + due * (proven - 1)


async def test_where_gas_has_no_known_worth_settling_waits_until_proofs_have_cost_fifty_times_as_much(m):
    m.chain.network = m.chain.network.model_copy(update={"private": False})
    await m.open(*pieces_of(5000))
    await m.open(*pieces_of(300_000))  # both are proven in one transaction
    await m.warp.to_next_period()
    due = m.price * sum(piece.leaf_count for _, pieces in m.sets.values() for piece in pieces)
    for proven in range(1, policy.PROOFS_PER_SETTLING):
        await m.prove()
        assert await m.chain.deals.owed(m.provider) == due * proven
        assert await m.rig.service._deal_store.proofs_behind(due * proven) == proven
        await m.warp.to_next_period()
    await m.prove()
    assert await m.chain.deals.owed(m.provider) == 0


async def test_what_the_last_data_set_earned_is_settled_though_its_fee_is_half_of_it(m):
    set_id = await m.open(*pieces_of(2_000_003))
    due = m.price * m.sets[set_id][1][0].leaf_count
    await m.warp.to_next_period()
    signature = typed_data.sign_terminate(m.customer, m.chain.network, set_id)
    await m.sender.send(m.chain.deals.terminate(set_id, signature), purpose="the customer ends it")
    m.chain.network = m.chain.network.model_copy(update={"tokens_per_coin": 10**30})
    await m.prove()
    assert await m.chain.deals.owed(m.provider) == due
    await price_gas(m, due * 2)
    await m.warp.to_next_period()
    await m.rig.service.proving.trigger_and_wait()
    assert await m.chain.deals.owed(m.provider) == due  # nothing runs, but it would cost more than it brings
    await price_gas(m, due // 2)
    await m.rig.service.proving.trigger_and_wait()
    assert await m.chain.deals.owed(m.provider) == 0


async def test_giving_up_a_data_set_settles_what_is_owed(m):
    data, terms = pieces_of(5000)[0], await m.terms()
    pieces = await m.upload(data)
    lasts = policy.funding_needed(terms.price, pieces[0].leaf_count)
    assert (await m.post(terms, await m.body(terms, pieces, amount=lasts)))[0] == 200
    await m.warp.to_next_period()
    m.chain.network = m.chain.network.model_copy(update={"tokens_per_coin": 10**30})  # no fee is worth it by itself
    for _ in range(policy.MIN_TERM_PERIODS):
        await m.prove()
        await m.warp.to_next_period()
    assert await m.chain.deals.owed(m.provider) == lasts
    for _ in range(policy.UNFUNDED_PERIODS + 1):
        await m.prove()
        await m.warp.to_next_period()
    assert await m.chain.deals.owed(m.provider) == 0


@pytest.mark.parametrize("how", ["ended", "expired"])
async def test_the_rest_of_an_escrow_goes_back_to_the_customer_once(m, how: str):
    period_s, now = await m.chain.deals.period_s(), await m.chain.now()
    set_id = await m.open(*pieces_of(5000), expires=now + 2 * period_s + 5)
    await m.warp.to_next_period()
    await m.prove()
    left = await escrow(m, set_id)
    held = await m.chain.token.balance_of(m.customer.address)
    assert left > 0
    await (end(m, set_id) if how == "ended" else m.warp.by(2 * period_s))
    await m.rig.service.proving.trigger_and_wait()
    assert await m.chain.token.balance_of(m.customer.address) == held + left
    assert await escrow(m, set_id) == 0
    before = await sent(m)
    await m.rig.service.proving.trigger_and_wait()
    assert await sent(m) == before


async def test_an_escrow_is_not_sent_back_for_a_customer_who_has_paid_less_than_its_fee(m):
    set_id = await m.open(*pieces_of(5000))
    await m.warp.to_next_period()
    await m.prove()
    m.chain.network = m.chain.network.model_copy(update={"tokens_per_coin": 10**30})
    await end(m, set_id)
    left, before = await escrow(m, set_id), await sent(m)
    await m.rig.service.proving.trigger_and_wait()
    assert (await escrow(m, set_id), await sent(m)) == (left, before)
    m.chain.network = m.chain.network.model_copy(update={"tokens_per_coin": 1})
    await m.rig.service.proving.trigger_and_wait()
    assert await escrow(m, set_id) == 0


async def test_an_escrow_that_somebody_else_sent_back_is_left_alone(m):
    set_id = await m.open(*pieces_of(5000))
    await end(m, set_id)
    await m.rig.service._deals.follow(m.rig.service._link, set_id)
    assert [one.id for one in await m.rig.service._deal_store.left_over()] == [set_id.hex()]
    await m.sender.send(m.chain.deals.return_escrow(set_id), purpose="anybody may")
    before = await sent(m)
    await m.rig.service.proving.trigger_and_wait()
    assert await sent(m) == before
    assert await m.rig.service._deal_store.left_over() == []


async def test_a_data_set_that_stays_empty_is_ended_and_its_escrow_goes_back(m):
    data = pieces_of(5000)[0]
    set_id = await m.open(data)
    await m.warp.to_next_period()
    await m.prove()
    removal = typed_data.sign_schedule_removals(m.customer, m.chain.network, set_id, [0])
    await m.sender.send(m.chain.deals.schedule_removals(set_id, [0], removal), purpose="the customer removes it")
    period_s = await m.chain.deals.period_s()
    await m.warp.by((policy.INACTIVE_PERIODS - 1) * period_s)
    await m.rig.service.proving.trigger_and_wait()
    assert not (await m.chain.deals.data_set(set_id)).terminated
    await m.warp.by(2 * period_s)
    await m.rig.service.proving.trigger_and_wait()
    assert (await m.chain.deals.data_set(set_id)).terminated
    assert await escrow(m, set_id) == 0
    assert (await m.status()).data_sets == ()


async def test_a_data_set_that_could_not_be_shown_for_thirty_periods_is_ended_and_its_space_free_again(m):
    kept, gone = pieces_of(70_000, 900_000)
    set_id = await m.open(kept, gone)
    m.rig.piece_path(root_of(gone)).unlink()
    await m.warp.to_next_period()
    period_s, tries = await m.chain.deals.period_s(), 0
    while not m.rig.service._round.unprovable:  # a few of its leaves may be asked for, which are all of the other piece
        await m.prove()
        await m.warp.by(period_s)
        tries += 1
        assert tries < 50
    await m.warp.by((policy.INACTIVE_PERIODS - 2) * period_s)
    await m.prove()
    assert not (await m.chain.deals.data_set(set_id)).terminated
    with m.rig.bus.subscribe() as news:
        while not (await m.chain.deals.data_set(set_id)).terminated:
            await m.warp.to_next_period()
            await m.prove()
            tries += 1
            assert tries < 200
        assert "A lost data set was ended" in [a.title for a in m.activities(news, "fault")]
    assert await escrow(m, set_id) == 0
    await m.rig.service.expiring.trigger_and_wait()
    assert (await m.rig.get(root_of(kept)))[0] == 404
    assert (await m.status()).stored_bytes == 0


async def test_a_data_set_whose_disk_comes_back_goes_on(m):
    data = pieces_of(5000)[0]
    set_id = await m.open(data)
    path = m.rig.piece_path(root_of(data))
    away = path.rename(path.with_suffix(".away"))
    await m.warp.to_next_period()
    await m.prove()
    assert m.rig.service._round.unprovable == {set_id.hex()}
    away.rename(path)
    assert (await m.rig.put(data))[0] == 201
    await m.warp.by(policy.INACTIVE_PERIODS * await m.chain.deals.period_s())
    period = await m.prove()
    assert await m.chain.deals.is_proven(set_id, period)
    await m.warp.to_next_period()
    assert await m.chain.deals.is_proven(set_id, await m.prove())
    assert not (await m.chain.deals.data_set(set_id)).terminated
