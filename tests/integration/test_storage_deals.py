"""Data sets on the real chain: opened in one transaction, refused in words, idempotent, and ended."""

from __future__ import annotations

import os

import pytest
from eth_account import Account

from depin_desktop.chain import typed_data
from depin_desktop.chain.bindings.deals import Piece
from depin_desktop.services.storage import policy

from .storage_market import market, pieces_of, root_of


@pytest.fixture
async def m(make_home, chain, warp, new_account):
    async with market(await make_home(), chain, warp, await new_account()) as made:
        yield made


async def test_one_request_opens_funds_and_adds_in_one_transaction(m):
    terms, pieces = await m.terms(), await m.upload(*pieces_of(1, 5000, 300_000))
    body = await m.body(terms, pieces)
    before = await m.chain.block()
    status, answer = await m.post(terms, body)
    assert (status, len(answer["transactions"]), answer["first_piece_id"]) == (200, 1, 0)
    assert answer["block"] == before.number + 1
    state = await m.chain.deals.data_set(bytes.fromhex(answer["set_id"][2:]))
    assert state.leaf_count == sum(piece.leaf_count for piece in pieces)
    assert (state.escrow, state.piece_count) == (int(body["funding"]["amount"]), 3)
    async with m.rig.client.get(f"/storage/sets/{answer['set_id']}") as response:
        seen = await response.json()
    assert seen["state"]["escrow"] == body["funding"]["amount"]
    assert [piece["root"] for piece in seen["pieces"]] == [piece.root.hex() for piece in pieces]
    (listed,) = (await m.status()).data_sets
    assert (listed.id, listed.pieces, listed.customer) == (answer["set_id"], 3, m.customer.address)
    assert listed.stored_bytes == 305_001

    # The same request again, because its answer was lost, changes nothing.
    assert await m.post(terms, body) == (200, {**answer, "transactions": [], "block": None})
    assert (await m.chain.block()).number == before.number + 1


async def test_more_pieces_follow_and_a_stale_request_learns_the_state(m):
    set_id = await m.open(*pieces_of(1000))
    terms, _ = m.sets[set_id]
    more = await m.upload(*pieces_of(2000, 3000))
    stale = await m.body(terms, more, first=0)
    status, problem = await m.post(terms, stale)
    assert (status, problem["code"], problem["state"]["piece_count"]) == (409, "stale-first-piece", 1)
    status, answer = await m.post(terms, await m.body(terms, more, first=1, amount=0))
    assert (status, answer["first_piece_id"]) == (200, 1)
    assert (await m.chain.deals.data_set(set_id)).piece_count == 3


async def test_what_is_under_contract_needs_no_receipt_and_outlives_it(m):
    data = pieces_of(4000)[0]
    await m.open(data)
    assert await m.rig.service._piece_store.unpaid_bytes(m.customer.address, 0) == 0
    m.rig.service._pieces._clock = lambda: 2e9 + 7200
    await m.rig.service.expiring.trigger_and_wait()
    assert (await m.rig.get(root_of(data)))[1] == data


@pytest.mark.parametrize(
    ("case", "status", "code"),
    [
        ("price", 400, "price-too-low"),
        ("underfunded", 400, "underfunded"),
        ("short", 400, "term-too-short"),
        ("provider", 400, "wrong-provider"),
        ("set id", 400, "wrong-set-id"),
        ("leaves", 400, "wrong-leaf-count"),
        ("missing", 409, "piece-missing"),
        ("signature", 401, "bad-signature"),
        ("add signature", 401, "bad-signature"),
        ("malformed", 400, "bad-request"),
        ("too many", 400, "bad-request"),
        ("negative", 400, "bad-request"),
        ("poor", 409, "reverted"),
    ],
)
async def test_refusals(m, new_account, case: str, status: int, code: str):
    now = await m.chain.now()
    changed = {
        "price": {"price": m.price - 1},
        "short": {"expires": now + 60},
        "provider": {"provider": Account.create().address},
    }
    if case == "poor":
        m.customer = m.rig.customer = await new_account(tokens=1)
    terms = await m.terms(**changed.get(case, {}))
    pieces = await m.upload(*pieces_of(3000))
    if case == "leaves":
        pieces = [Piece(pieces[0].root, pieces[0].leaf_count + 1)]
    if case == "missing":
        pieces = [Piece(os.urandom(32), 3)]
    body = await m.body(terms, pieces, signer=Account.create() if case == "signature" else m.customer)
    if case == "underfunded":
        body = await m.body(terms, pieces, amount=terms.price * pieces[0].leaf_count)
    if case == "add signature":
        body["add_signature"] = body["terms_signature"]
    if case == "malformed":
        body["terms"]["salt"] = "0x12"
    if case == "too many":
        body["pieces"] = body["pieces"] * 129
    if case == "negative":
        body["terms"]["price"] = -1
    if case == "set id":
        before, terms = terms, await m.terms()
        assert before != terms
    nonce = await m.chain.rpc.request("eth_getTransactionCount", m.sender.address, "latest")
    got, problem = await m.post(terms, body)
    assert (got, problem["code"][: len(code)]) == (status, code), problem
    assert problem["message"].endswith(".")
    assert await m.chain.rpc.request("eth_getTransactionCount", m.sender.address, "latest") == nonce


async def test_unknown_sets_are_404(m):
    path = "/storage/sets/0x" + "12" * 32
    async with m.rig.client.get(path) as response:
        assert response.status == 404
    async with m.rig.client.post(path + "/terminate", json={"signature": "0x"}) as response:
        assert response.status == 404


async def test_a_removed_piece_stays_until_the_period_ends_and_then_goes(m):
    keep, drop = pieces_of(5000, 70_000)
    set_id = await m.open(keep, drop)
    signature = typed_data.sign_schedule_removals(m.customer, m.chain.network, set_id, [1])
    path, body = f"/storage/sets/0x{set_id.hex()}/pieces", {"piece_ids": [1], "signature": "0x" + signature.hex()}
    async with m.rig.client.delete(path, json={**body, "piece_ids": [0]}) as response:
        assert response.status == 401
    for transactions in (1, 0):  # the second time it is queued already
        async with m.rig.client.delete(path, json=body) as response:
            assert (response.status, len((await response.json())["transactions"])) == (200, transactions)
    await m.rig.service.proving.trigger_and_wait()
    await m.rig.service.expiring.trigger_and_wait()
    assert (await m.rig.get(root_of(drop)))[0] == 200
    await m.warp.to_next_period()
    await m.rig.service.proving.trigger_and_wait()
    await m.rig.service.expiring.trigger_and_wait()
    assert (await m.rig.get(root_of(drop)))[0] == 404
    assert (await m.rig.get(root_of(keep)))[0] == 200
    await m.prove()
    assert await m.chain.deals.is_proven(set_id, await m.chain.deals.current_period())


async def test_a_terminated_set_is_dropped_when_its_last_period_ends(m):
    data = pieces_of(5000)[0]
    set_id = await m.open(data)
    signature = typed_data.sign_terminate(m.customer, m.chain.network, set_id)
    path, body = f"/storage/sets/0x{set_id.hex()}/terminate", {"signature": "0x" + signature.hex()}
    for transactions in (1, 0):
        async with m.rig.client.post(path, json=body) as response:
            assert (response.status, len((await response.json())["transactions"])) == (200, transactions)
    assert (await m.status()).data_sets[0].state == "ending"
    await m.warp.to_next_period()
    await m.rig.service.proving.trigger_and_wait()
    assert (await m.status()).data_sets == ()
    await m.rig.service.expiring.trigger_and_wait()
    assert (await m.rig.get(root_of(data)))[0] == 404
    assert (await m.status()).stored_bytes == 0


async def test_a_set_that_nobody_pays_for_any_more_is_ended_and_its_space_free_again(m):
    data, terms = pieces_of(5000)[0], await m.terms()
    pieces = await m.upload(data)
    lasts = policy.funding_needed(terms.price, pieces[0].leaf_count)
    status, _ = await m.post(terms, await m.body(terms, pieces, amount=lasts))
    assert status == 200
    for _ in range(policy.MIN_TERM_PERIODS):
        await m.warp.to_next_period()
        await m.prove()
    states = []
    for _ in range(policy.UNFUNDED_PERIODS + 1):
        await m.warp.to_next_period()
        await m.prove()  # kept and proven meanwhile, as money may still come
        states.append((await m.status()).data_sets[0].state)
    assert states == ["unfunded"] * policy.UNFUNDED_PERIODS + ["ending"]
    await m.warp.to_next_period()
    await m.rig.service.proving.trigger_and_wait()
    await m.rig.service.expiring.trigger_and_wait()
    assert (await m.rig.get(root_of(data)))[0] == 404
    assert (await m.status()).stored_bytes == 0


async def test_an_expired_set_ends_by_itself(m):
    period_s = await m.chain.deals.period_s()
    data = pieces_of(700)[0]
    await m.open(data, expires=await m.chain.now() + 2 * period_s + 5)
    await m.warp.by(4 * period_s)
    await m.rig.service.proving.trigger_and_wait()
    await m.rig.service.expiring.trigger_and_wait()
    assert (await m.rig.get(root_of(data)))[0] == 404
