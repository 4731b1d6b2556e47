// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IBatchSettlement} from "../src/interfaces/IBatchSettlement.sol";
import {IStorageDeals} from "../src/interfaces/IStorageDeals.sol";
import {Trees} from "./support/Trees.sol";
import {signed, vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// What two parties gain by working together, and what one gains by being faster than the other: nothing.
contract CollusionTest is World {
    uint128 private constant PRICE = 1e18;
    bytes32 private id;

    function setUp() public override {
        super.setUp();
        id = filledSet("set", 100e18);
    }

    function filledSet(bytes32 salt, uint128 escrow) private returns (bytes32 setId) {
        setId = openSet(PRICE, salt);
        fundSet(setId, escrow, "fund");
        IStorageDeals.Piece[] memory added = new IStorageDeals.Piece[](1);
        added[0] = Trees.piece(0, 1);
        addPieces(setId, added);
    }

    function draw() private {
        toWindow();
        deals.poke();
    }

    // --- two parties together ---

    /// A provider that is its own customer and its own reporter: the stake it gets out by faults is bounded to a fifth of
    /// what is slashed, a twentieth of the stake at once and a fifth a day, and the rest is burnt.
    function test_FaultsOfOnesOwnAreADearWayRoundTheThaw() public {
        uint256 stake = registry.provider(provider).stake;
        vm.warp(START + 24 * PERIOD);
        uint256 before = token.balanceOf(provider);
        for (uint64 p = 1; p < 24; ++p) {
            vm.prank(provider);
            deals.reportFault(id, p);
        }
        uint256 lost = stake - registry.provider(provider).stake;
        vm.assertLe(lost, stake / 5);
        vm.assertEq(token.balanceOf(provider) - before, lost / 5);
    }

    /// Customer and provider agree on any price: what moves between them is the customer's own escrow.
    function test_APriceAgreedByFriendsMovesOnlyTheirOwnMoney() public {
        bytes32 other = filledSet("other", 7e18);
        bytes32 dear = openSet(type(uint128).max, "dear");
        fundSet(dear, 3e18, "fund");
        IStorageDeals.Piece[] memory added = new IStorageDeals.Piece[](1);
        added[0] = Trees.piece(0, 16);
        addPieces(dear, added);
        toNextPeriod();
        draw();
        (uint64[] memory ids, uint64[] memory leaves) = deals.challenges(dear);
        uint256[] memory sizes = new uint256[](1);
        sizes[0] = 16;
        prove(dear, Trees.answer(ids, leaves, sizes));
        vm.assertEq(deals.settle(provider), 3e18);
        vm.assertEq(deals.dataSet(other).escrow, 7e18);
        vm.assertEq(deals.dataSet(id).escrow, 100e18);
    }

    /// Of a channel between friends no more comes out than went in, whoever of the two takes it first.
    function test_PayerAndReceiverTogetherGetTheDepositOnce() public {
        deposit(channel("friends"), 10e18, 1);
        deposit(channel("strangers"), 50e18, 2);
        IBatchSettlement.ChannelConfig memory config = channel("friends");
        vm.prank(spender);
        settlement.initiateWithdraw(config, 10e18);
        IBatchSettlement.VoucherClaim[] memory batch = claims(voucher(config, 10e18, 10e18));
        vm.prank(operator);
        settlement.claim(batch);
        vm.warp(block.timestamp + 1 hours);
        uint256 before = token.balanceOf(spender);
        vm.prank(spender);
        settlement.finalizeWithdraw(config);
        vm.assertEq(token.balanceOf(spender), before);
        settlement.settle(payout, address(token));
        vm.assertEq(token.balanceOf(payout), 10e18);
        vm.assertEq(token.balanceOf(SETTLEMENT), 50e18);
    }

    /// A second wallet of the provider cannot bring a set of the first one's under it.
    function test_AProvidersSecondIdentityProvesNothingOfTheFirsts() public {
        enrol(address(1), address(11), payout, "second", MIN_STAKE);
        toNextPeriod();
        draw();
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.NotOperator.selector, address(11)));
        proveAs(address(11), bytes.concat(bytes16(id), Trees.proof(0, 1, 0)));
    }

    // --- one ahead of the other ---

    /// The customer sees the proof coming and ends the set, or removes the piece: this period is paid all the same.
    function test_ACustomerAheadOfTheProofSavesNothing() public {
        toNextPeriod();
        draw();
        deals.scheduleRemovals(id, list(0), signRemovals(id, list(0)));
        vm.prank(customer);
        deals.terminate(id, "");
        prove(id, Trees.proof(0, 1, 0));
        vm.assertEq(deals.owed(provider), PRICE);
    }

    /// The provider sees that it will fail and ends the set, or leaves the registry: the running period can be reported.
    function test_AProviderAheadOfItsFaultSavesNothing() public {
        toNextPeriod();
        vm.prank(operator);
        deals.terminate(id, "");
        vm.prank(provider);
        registry.requestUnstake(10 * MIN_STAKE);
        toNextPeriod();
        vm.prank(stranger);
        deals.reportFault(id, 1);
        vm.assertEq(registry.provider(provider).stake, 10 * MIN_STAKE - 10 * PRICE);
        vm.assertEq(registry.provider(provider).thawing, registry.provider(provider).stake);
    }

    /// Who copies a report gets the reward instead of its author, once: the provider pays no more for it.
    function test_ACopiedReportSlashesOnce() public {
        toNextPeriod();
        toNextPeriod();
        vm.prank(address(0xC0B1E5));
        deals.reportFault(id, 1);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.NotFaulted.selector, id, 1));
        deals.reportFault(id, 1);
        vm.assertEq(registry.provider(provider).stake, 10 * MIN_STAKE - 10 * PRICE);
    }

    /// Funding, opening and depositing by others' signatures do the same whoever sends them.
    function test_WhoSendsACustomersSignaturesAheadHelpsIt() public {
        IStorageDeals.Terms memory t = terms(PRICE, uint64(START + 1 days), "ahead");
        bytes memory consent = signTerms(t);
        vm.prank(stranger);
        bytes32 setId = deals.open(t, consent);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.SetExists.selector, setId));
        deals.open(t, consent);
        vm.assertEq(deals.dataSet(setId).customer, customer);

        bytes memory paid =
            authorization(CUSTOMER_KEY, address(deals), 5, START + 60, keccak256(abi.encode(setId, bytes32("a"))));
        vm.prank(stranger);
        deals.fund(setId, 5, 0, START + 60, "a", paid);
        vm.expectRevert();
        deals.fund(setId, 5, 0, START + 60, "a", paid);
        vm.assertEq(deals.dataSet(setId).escrow, 5);
    }

    /// Whoever pokes first fixes the seed for all; nobody can have it drawn again, also not with the block's other luck.
    function test_NobodyDrawsAgain() public {
        toNextPeriod();
        toWindow();
        vm.prevrandao("first");
        vm.prank(operator);
        deals.poke();
        bytes32 seed = deals.seedOf(1);
        vm.prevrandao("second");
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.AlreadySeeded.selector, 1));
        deals.poke();
        vm.assertEq(deals.seedOf(1), seed);
    }

    /// Claims copied out of the mempool are booked for their receiver, whoever settles.
    function test_WhoSettlesForAnotherGetsNothing() public {
        deposit(channel("work"), 10e18, 1);
        IBatchSettlement.VoucherClaim[] memory batch = claims(voucher(channel("work"), 4e18, 4e18));
        bytes memory consent = signed(OPERATOR_KEY, settlement.getClaimBatchDigest(batch));
        vm.prank(stranger);
        settlement.claimWithSignature(batch, consent);
        vm.prank(stranger);
        settlement.settle(payout, address(token));
        vm.assertEq(token.balanceOf(payout), 4e18);
        vm.assertEq(token.balanceOf(stranger), 0);
    }
}
