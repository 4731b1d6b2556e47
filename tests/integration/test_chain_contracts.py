"""The bindings and signatures against the deployed contracts: what we hash is what they check."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from depin_desktop.chain import typed_data
from depin_desktop.chain.bindings.deals import PeriodState, Piece, Step, Terms
from depin_desktop.chain.bindings.registry import Thaw
from depin_desktop.chain.bindings.settlement import ChannelConfig, VoucherClaim, erc3009_collector_data
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.deploy import Plan, deploy
from depin_desktop.chain.reverts import Reverted
from depin_desktop.chain.sender import Sender
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError

from .chain_anvil import MIN_STAKE, PERIOD_S, WINDOW_S, Anvil, account, anvil_with_contracts, proof_of_leaf

OWNER, OPERATOR, PAYOUT = account(1), account(2), account(3)  # the owner founded the network and holds the tokens
CUSTOMER = OWNER  # of its own storage: the contracts do not mind, and every signature is still checked
NODE = b"\x05" * 32
SALT = b"\x09" * 32


class World:
    """A chain with a registered provider."""

    def __init__(self, anvil: Anvil, chain: Chain, owner: Sender, operator: Sender) -> None:
        self.anvil, self.chain, self.owner, self.operator = anvil, chain, owner, operator

    async def register(self) -> None:
        registry = self.chain.registry
        calls = [
            self.chain.token.approve(registry.address, 2 * MIN_STAKE),
            registry.register(OPERATOR.address, PAYOUT.address, NODE, 2 * MIN_STAKE),
        ]
        await self.owner.send_many(calls, purpose="register")

    async def warp(self, to: int) -> None:
        await self.anvil.ask("evm_setNextBlockTimestamp", to)
        await self.anvil.ask("evm_mine")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with (
        anvil_with_contracts(tmp_path, OWNER, OPERATOR) as (anvil, network),
        contextlib.AsyncExitStack() as stack,
    ):
        chain = await Chain.connect(network)
        stack.push_async_callback(chain.close)
        database = Database(tmp_path / "senders.sqlite")
        await database.open()
        stack.push_async_callback(database.close)
        senders = [Sender(chain, who, database) for who in (OWNER, OPERATOR)]
        for sender in senders:
            await sender.start()
            stack.push_async_callback(sender.stop)
        yield World(anvil, chain, *senders)


async def test_the_registry_tells_who_provides(world: World) -> None:
    registry = world.chain.registry
    assert not (await registry.provider(OWNER.address)).registered
    assert await registry.owner_of_operator(OPERATOR.address) is None
    await world.register()
    provider = await registry.provider(OWNER.address)
    assert (provider.operator, provider.payout, provider.node_id) == (OPERATOR.address, PAYOUT.address, NODE)
    assert (provider.stake, provider.thawing, provider.thaw_ends) == (2 * MIN_STAKE, 0, 0)
    assert await registry.owner_of_operator(OPERATOR.address) == OWNER.address
    assert await registry.owner_of_node(NODE) == OWNER.address
    assert await registry.is_active(OWNER.address)
    assert await registry.min_stake() == MIN_STAKE
    assert await registry.owners(0, 10) == (OWNER.address,)
    assert await registry.count() == 1
    receipt = await world.owner.send(registry.request_unstake(MIN_STAKE), purpose="unstake")
    requested = receipt.event("UnstakeRequested").args
    assert requested["amount"] == MIN_STAKE
    assert await registry.thaws(OWNER.address) == (Thaw(MIN_STAKE, requested["thaw_ends"]),)
    assert await registry.thaw_period_s() == 3600
    with pytest.raises(Reverted, match="released at"):
        await world.owner.send(registry.unstake(), purpose="unstake")


async def test_the_token_s_domain_is_ours(world: World) -> None:
    network = world.chain.network
    ours = typed_data.domain_separator(*typed_data.TOKEN_DOMAIN, network.chain_id, network.addresses.token)
    assert await world.chain.token.domain_separator() == ours
    assert await world.chain.token.symbol() == network.symbol


async def test_a_data_set_lives_by_the_customer_s_signatures(world: World) -> None:
    await world.register()
    chain, network, deals = world.chain, world.chain.network, world.chain.deals
    leaf = b"\x01" * 256
    piece = Piece(hashlib.sha256(leaf).digest(), 1)
    pieces = [piece, piece]
    terms = Terms(CUSTOMER.address, OWNER.address, 10**15, await chain.now() + 10 * PERIOD_S, SALT)
    set_id = typed_data.data_set_id(terms.customer, terms.provider, terms.salt)
    assert await deals.data_set_id(terms) == set_id
    until = await chain.now() + 1000
    receipts = await world.operator.send_many(
        [
            deals.open(terms, typed_data.sign_terms(CUSTOMER, network, terms)),
            deals.fund(
                set_id, 10**18, 0, until, SALT,
                typed_data.sign_funding(CUSTOMER, network, set_id, 10**18, 0, until, SALT),
            ),
            deals.add(set_id, pieces, 0, typed_data.sign_add_pieces(CUSTOMER, network, set_id, 0, pieces)),
        ],
        purpose="store",
    )  # fmt: skip
    assert receipts[0].event("Opened").args["provider"] == OWNER.address
    assert receipts[2].event("PiecesAdded").args["pieces"] == (piece.abi(), piece.abi())
    state = await deals.data_set(set_id)
    assert (state.customer, state.price, state.escrow, state.leaf_count) == (CUSTOMER.address, 10**15, 10**18, 2)
    assert not state.terminated
    assert (await deals.piece(set_id, 1)).live

    removal = deals.schedule_removals(set_id, [1], typed_data.sign_schedule_removals(CUSTOMER, network, set_id, [1]))
    await world.operator.send(removal, purpose="remove")

    await world.warp((await deals.genesis()) + PERIOD_S * (await deals.current_period() + 1))
    action = await deals.next_action(set_id)
    await world.warp(action.not_before)
    action = await deals.next_action(set_id)
    assert action.step is Step.POKE
    assert await deals.challenges(set_id) == ()
    assert await deals.seed_of(action.period) is None
    await world.operator.send(deals.poke(), purpose="poke")
    assert await deals.seed_of(action.period) is not None
    assert (await deals.next_action(set_id)).step is Step.PROVE
    challenges = await deals.challenges(set_id)
    assert {(one.piece_id, one.leaf_index) for one in challenges} == {(0, 0)}
    receipt = await world.operator.send(deals.prove([proof_of_leaf(set_id, leaf, len(challenges))]), purpose="prove")
    assert receipt.event("Proven").args["paid"] == 10**15
    assert await deals.is_proven(set_id, action.period)
    states = [await deals.state_of(set_id, period) for period in (action.period - 1, action.period, action.period + 1)]
    assert states == [PeriodState.NOT_DUE, PeriodState.PROVEN, PeriodState.OPEN]
    assert await deals.owed(OWNER.address) == 10**15
    await world.operator.send(deals.settle(OWNER.address), purpose="settle")
    assert await chain.token.balance_of(PAYOUT.address) == 10**15

    with pytest.raises(Reverted, match="active until period") as refused:
        await world.operator.send(deals.end_inactive(set_id), purpose="clear away")
    assert refused.value.values["until_period"] == action.period + 1 + 30
    ending = deals.terminate(set_id, typed_data.sign_terminate(CUSTOMER, network, set_id))
    assert (await world.operator.send(ending, purpose="end")).event("Terminated").args["set_id"] == set_id
    assert (await deals.data_set(set_id)).terminated
    over = await deals.next_action(set_id)
    assert over.step is Step.NOTHING
    await world.warp(over.not_before)
    assert (await deals.next_action(set_id)).step is Step.RETURN
    await world.operator.send(deals.return_escrow(set_id), purpose="give the rest back")
    assert (await deals.next_action(set_id)).step is Step.NOTHING


async def test_opening_funding_and_adding_fit_into_one_transaction(world: World) -> None:
    await world.register()
    network, deals, now = world.chain.network, world.chain.deals, await world.chain.now()
    terms = Terms(CUSTOMER.address, OWNER.address, 1, now + 10 * PERIOD_S, SALT)
    set_id = typed_data.data_set_id(terms.customer, terms.provider, terms.salt)
    funding = typed_data.sign_funding(CUSTOMER, network, set_id, 1000, 0, now + 1000, SALT)
    pieces = [Piece(bytes([n]) * 32, 2**n) for n in range(1, 9)]
    assert len(pieces) <= await deals.max_pieces()
    calls = [
        deals.open(terms, typed_data.sign_terms(CUSTOMER, network, terms)),
        deals.fund(set_id, 1000, 0, now + 1000, SALT, funding),
        deals.add(set_id, pieces, 0, typed_data.sign_add_pieces(CUSTOMER, network, set_id, 0, pieces)),
    ]
    receipt = await world.operator.send(deals.multicall(calls), purpose="store")
    assert [event.name for event in receipt.events if event.contract == "deals"] == ["Opened", "Funded", "PiecesAdded"]
    assert (await deals.data_set(set_id)).leaf_count == sum(piece.leaf_count for piece in pieces)
    with pytest.raises(Reverted, match="The next piece is number 8, not 0"):
        await world.operator.send(deals.multicall(calls[2:]), purpose="store again")
    assert await deals.max_proofs() > 1
    assert await deals.max_queued_removals() > 1


async def test_a_signature_for_something_else_is_refused(world: World) -> None:
    await world.register()
    terms = Terms(CUSTOMER.address, OWNER.address, 1, await world.chain.now() + 1000, SALT)
    signature = typed_data.sign_terms(OPERATOR, world.chain.network, terms)
    with pytest.raises(Reverted) as refused:
        await world.operator.send(world.chain.deals.open(terms, signature), purpose="open")
    assert refused.value.name == "BadSignature"


async def test_a_channel_pays_by_voucher_and_refunds_the_rest(world: World) -> None:
    network, settlement, token = world.chain.network, world.chain.settlement, world.chain.token
    config = ChannelConfig(
        CUSTOMER.address, CUSTOMER.address, PAYOUT.address, OPERATOR.address, token.address, 900, SALT
    )
    channel = typed_data.channel_id(network, config)
    assert await settlement.get_channel_id(config) == channel
    assert await settlement.get_voucher_digest(channel, 600) == typed_data.voucher_digest(network, channel, 600)
    until = await world.chain.now() + 1000
    authorisation = typed_data.sign_deposit(CUSTOMER, network, channel, 1000, 0, until, SALT)
    data = erc3009_collector_data(0, until, SALT, authorisation)
    await world.operator.send(
        settlement.deposit(config, 1000, network.addresses.erc3009_collector, data), purpose="deposit"
    )
    assert (await settlement.channels(channel)).balance == 1000

    claim = VoucherClaim(config, 600, typed_data.sign_voucher(CUSTOMER, network, channel, 600), 500)
    assert await settlement.get_claim_batch_digest([claim]) == typed_data.claim_batch_digest(network, [claim])
    signed = typed_data.sign_claim_batch(OPERATOR, network, [claim])
    await world.owner.send(settlement.claim_with_signature([claim], signed), purpose="claim")
    assert (await settlement.channels(channel)).total_claimed == 500
    await world.operator.send(settlement.claim([claim]), purpose="claim again")  # an unchanged total is no error

    assert await settlement.refund_nonce(channel) == 0
    assert await settlement.get_refund_digest(channel, 0, 400) == typed_data.refund_digest(network, channel, 0, 400)
    refund = settlement.refund_with_signature(
        config, 400, 0, typed_data.sign_refund(OPERATOR, network, channel, 0, 400)
    )
    both = settlement.multicall([refund, settlement.settle(PAYOUT.address, token.address)])
    await world.owner.send(both, purpose="close")
    assert await token.balance_of(PAYOUT.address) == 500
    assert (await settlement.receivers(PAYOUT.address, token.address)).total_settled == 500
    await world.owner.send(settlement.initiate_withdraw(config, 100), purpose="withdraw")
    assert (await settlement.pending_withdrawals(channel)).amount == 100
    with pytest.raises(Reverted, match="delay is not over"):
        await world.owner.send(settlement.finalize_withdraw(config), purpose="withdraw")


async def test_a_deployment_goes_on_where_it_stopped(world: World, tmp_path: Path) -> None:
    database = Database(tmp_path / "deployment.sqlite")
    await database.open()
    plan = Plan(PAYOUT.address, MIN_STAKE, 60, PERIOD_S, WINDOW_S, genesis=1_700_000_000, private=True)
    first = await deploy(world.anvil.url, OPERATOR, plan, database=database)
    height = await world.anvil.ask("eth_blockNumber")
    assert await deploy(world.anvil.url, OPERATOR, plan, database=database) == first
    assert await world.anvil.ask("eth_blockNumber") == height
    await database.close()


async def test_a_chain_without_x402_is_not_deployed_to(world: World) -> None:
    await world.anvil.ask("anvil_setCode", world.chain.network.addresses.settlement, "0x")
    with pytest.raises(UserFacingError, match="x402 payments need") as told:
        await deploy(world.anvil.url, OWNER, Plan(OWNER.address, 1, 60, 10, 5, private=True))
    assert told.value.code == "no-settlement"
