// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IStorageDeals} from "../src/interfaces/IStorageDeals.sol";
import {Trees} from "./support/Trees.sol";
import {bound, vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// Periods, challenges, proofs, pay and faults.
contract StorageProofsTest is World {
    uint128 private constant PRICE = 1e9;
    bytes32 private id;
    uint256[] private sizes; // leaves of each piece of `id`

    function setUp() public override {
        super.setUp();
        id = openSet(PRICE, "salt");
        fundSet(id, 1e18, "fund");
        addPiece(7);
        addPiece(1);
        addPiece(16);
    }

    function addPiece(uint256 leaves) private {
        IStorageDeals.Piece[] memory added = new IStorageDeals.Piece[](1);
        added[0] = Trees.piece(sizes.length, leaves);
        sizes.push(leaves);
        addPieces(id, added);
    }

    function draw() private {
        toWindow();
        deals.poke();
    }

    /// The true answer to this period's challenges.
    function answer() private view returns (bytes memory data) {
        (uint64[] memory ids, uint64[] memory leaves) = deals.challenges(id);
        return Trees.answer(ids, leaves, sizes);
    }

    function expectProofRefused(bytes memory data, bytes memory reason) private {
        if (reason.length == 4) vm.expectPartialRevert(bytes4(reason));
        else vm.expectRevert(reason);
        prove(id, data);
    }

    // --- the ordinary course ---

    function test_APieceIsChallengedAndPaidFromTheNextPeriodOn() public {
        vm.assertEq(deals.dataSet(id).challengeRange, 0);
        draw();
        (uint64[] memory none,) = deals.challenges(id);
        vm.assertEq(none.length, 0);
        expectProofRefused("", abi.encodeWithSelector(IStorageDeals.NothingToProve.selector, id));

        toNextPeriod();
        vm.assertEq(deals.dataSet(id).challengeRange, 24);
        addPiece(100);
        vm.assertEq(deals.dataSet(id).challengeRange, 24);
        draw();
        prove(id, answer());
        vm.assertEq(deals.owed(provider), 24 * PRICE);
        toNextPeriod();
        draw();
        prove(id, answer());
        vm.assertEq(deals.owed(provider), (24 + 124) * PRICE);
        vm.assertEq(deals.dataSet(id).paid, (24 + 124) * PRICE);
        vm.assertEq(deals.dataSet(id).lastProven, period() + 1);
    }

    function test_ChallengesAreThoseOfTheSeed() public {
        toNextPeriod();
        toWindow();
        vm.prevrandao(bytes32("luck"));
        deals.poke();
        bytes32 seed = keccak256(abi.encode(bytes32("luck"), period(), address(deals)));
        vm.assertEq(deals.seedOf(period()), seed);
        (uint64[] memory ids, uint64[] memory leaves) = deals.challenges(id);
        uint256[3] memory starts = [uint256(0), 7, 8];
        uint256 asked = 0; // as a set: bit by leaf
        for (uint256 i = 0; i < 5; ++i) {
            asked |= 1 << (uint256(keccak256(abi.encode(seed, id, i))) % 24);
        }
        uint256 given = 0;
        for (uint256 i = 0; i < ids.length; ++i) {
            uint256 bit = 1 << (starts[ids[i]] + leaves[i]);
            vm.assertLt(given, bit); // ascending, each once
            given |= bit;
        }
        vm.assertEq(given, asked);
    }

    function test_TheSeedIsFixedOnceInTheWindow() public {
        uint256 opensAt = START + PERIOD - WINDOW;
        vm.warp(opensAt - 1);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.WindowClosed.selector, opensAt));
        deals.poke();
        vm.warp(opensAt);
        deals.poke();
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.AlreadySeeded.selector, 0));
        deals.poke();
        toNextPeriod();
        expectProofRefused("", abi.encodeWithSelector(IStorageDeals.NotSeeded.selector, 1));
    }

    function test_NextActionLeadsThroughAPeriod() public {
        toNextPeriod();
        uint256 opensAt = START + 2 * PERIOD - WINDOW;
        expectAction(IStorageDeals.Step.Nothing, 1, opensAt);
        vm.warp(opensAt);
        expectAction(IStorageDeals.Step.Poke, 1, opensAt);
        deals.poke();
        expectAction(IStorageDeals.Step.Prove, 1, opensAt);
        prove(id, answer());
        expectAction(IStorageDeals.Step.Nothing, 1, opensAt + PERIOD);
        deals.terminate(id, signTerminate(id));
        expectAction(IStorageDeals.Step.Nothing, 1, START + 2 * PERIOD); // escrow is left: it can go back then
        toNextPeriod();
        expectAction(IStorageDeals.Step.Return, 2, START + 2 * PERIOD);
        deals.returnEscrow(id);
        expectAction(IStorageDeals.Step.Nothing, 2, type(uint64).max);
    }

    function expectAction(IStorageDeals.Step step, uint64 inPeriod, uint256 notBefore) private view {
        (IStorageDeals.Step s, uint64 p, uint64 n, uint64 d) = deals.nextAction(id);
        vm.assertEq(uint256(s), uint256(step));
        vm.assertEq(p, inPeriod);
        vm.assertEq(n, notBefore);
        bool whenever = step == IStorageDeals.Step.End || step == IStorageDeals.Step.Return;
        vm.assertEq(d, whenever ? type(uint64).max : START + (inPeriod + 1) * PERIOD);
    }

    function test_SettlementPaysThePayoutAddress() public {
        toNextPeriod();
        draw();
        prove(id, answer());
        vm.prank(stranger);
        vm.assertEq(deals.settle(provider), 24 * PRICE);
        vm.assertEq(token.balanceOf(payout), 24 * PRICE);
        vm.expectRevert(IStorageDeals.NothingOwed.selector);
        deals.settle(provider);
    }

    function test_PayEndsWithTheEscrow() public {
        bytes32 poor = openSet(1e18, "poor");
        fundSet(poor, 20e18, "fund");
        IStorageDeals.Piece[] memory added = new IStorageDeals.Piece[](1);
        added[0] = Trees.piece(0, 16);
        addPieces(poor, added);
        delete sizes;
        sizes.push(16);
        id = poor;
        for (uint256 i = 0; i < 3; ++i) {
            toNextPeriod();
            draw();
            prove(id, answer());
            vm.assertEq(deals.owed(provider), i == 0 ? 16e18 : 20e18);
        }
    }

    function test_TheLastPeriodIsStillPaid() public {
        toNextPeriod();
        deals.terminate(id, signTerminate(id));
        draw();
        prove(id, answer());
        vm.assertEq(deals.owed(provider), 24 * PRICE);
        toNextPeriod();
        deals.returnEscrow(id);
        draw();
        expectProofRefused("", abi.encodeWithSelector(IStorageDeals.NothingToProve.selector, id));
        deals.settle(provider);
        vm.assertEq(token.balanceOf(address(deals)), 0);
    }

    // --- only the truth passes ---

    function test_APeriodIsPaidOnce() public {
        toNextPeriod();
        draw();
        bytes memory data = answer();
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.AlreadyProven.selector, id, 1));
        proveAs(operator, bytes.concat(bytes16(id), data, bytes16(id), data));
        prove(id, data);
        expectProofRefused(data, abi.encodeWithSelector(IStorageDeals.AlreadyProven.selector, id, 1));
        toNextPeriod();
        draw();
        expectProofRefused(data, abi.encodePacked(IStorageDeals.BadProof.selector)); // a replay
    }

    function test_OneCallTakesThirtyTwoSets() public {
        bytes memory proofs;
        bytes memory one;
        for (uint256 i = 0; i < 33; ++i) {
            bytes32 tiny = openSet(PRICE, bytes32(i));
            fundSet(tiny, 1e18, "fund");
            IStorageDeals.Piece[] memory added = new IStorageDeals.Piece[](1);
            added[0] = Trees.piece(i, 1);
            addPieces(tiny, added);
            one = bytes.concat(bytes16(tiny), Trees.proof(i, 1, 0));
            if (i < 32) proofs = bytes.concat(proofs, one);
        }
        toNextPeriod();
        draw();
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.TooMany.selector, 33, 32));
        proveAs(operator, bytes.concat(proofs, one));
        proveAs(operator, proofs);
        vm.assertEq(deals.owed(provider), 32 * PRICE);
    }

    function test_OnlyTheSetsOperatorProves() public {
        toNextPeriod();
        draw();
        bytes memory proofs = bytes.concat(bytes16(id), answer());
        enrol(address(1), address(11), payout, "one", MIN_STAKE);
        address[3] memory callers = [provider, stranger, address(11)];
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IStorageDeals.NotOperator.selector, callers[i]));
            proveAs(callers[i], proofs);
        }
    }

    function testFuzz_OneChangedBitSpoilsAProof(uint256 place, uint8 bit) public {
        toNextPeriod();
        draw();
        bytes memory data = answer();
        place = bound(place, 0, data.length - 1);
        data[place] ^= bytes1(uint8(1) << (bit % 8));
        expectProofRefused(data, abi.encodePacked(IStorageDeals.BadProof.selector));
    }

    function testFuzz_AProofHasItsLength(uint256 length) public {
        toNextPeriod();
        draw();
        bytes memory data = answer();
        length = bound(length, 0, data.length - 1);
        bytes memory longer = bytes.concat(data, new bytes(1 + (length % 64)));
        expectProofRefused(longer, abi.encodePacked(IStorageDeals.UnknownSet.selector));
        assembly ("memory-safe") {
            mstore(data, length)
        }
        expectProofRefused(data, abi.encodePacked(IStorageDeals.BadProof.selector));
    }

    /// Calldata reads as zeros beyond its end: a leaf that ends with zeros must be sent whole all the same.
    function test_ZerosAtTheEndOfAProofAreNotLeftOut() public {
        bytes memory leaf = bytes.concat(keccak256("short"), new bytes(224));
        bytes32 tiny = openSet(PRICE, "tiny");
        IStorageDeals.Piece[] memory added = new IStorageDeals.Piece[](1);
        added[0] = IStorageDeals.Piece(sha256(leaf), 1);
        addPieces(tiny, added);
        toNextPeriod();
        draw();
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.BadProof.selector, tiny, 0));
        proveAs(operator, bytes.concat(bytes16(tiny), keccak256("short")));
        proveAs(operator, bytes.concat(bytes16(tiny), leaf));
    }

    function test_ProofsRunBesideOtherCallsInOneTransaction() public {
        toNextPeriod();
        toWindow();
        vm.prevrandao("known");
        deals.poke();
        bytes[] memory calls = new bytes[](2);
        calls[0] = bytes.concat(deals.prove.selector, bytes16(id), answer());
        calls[1] = abi.encodeCall(deals.settle, (provider));
        vm.prank(operator);
        deals.multicall(calls);
        vm.assertEq(token.balanceOf(payout), 24 * PRICE);
    }

    function testFuzz_TrueLeavesInOtherPlacesDoNotPass(uint256 shift) public {
        shift = bound(shift, 1, 15);
        toNextPeriod();
        draw();
        (uint64[] memory ids, uint64[] memory leaves) = deals.challenges(id);
        for (uint256 i = 0; i < leaves.length; ++i) {
            leaves[i] = uint64((leaves[i] + shift) % sizes[ids[i]]);
        }
        bytes memory data = Trees.answer(ids, leaves, sizes);
        vm.assume(keccak256(data) != keccak256(answer()));
        expectProofRefused(data, abi.encodePacked(IStorageDeals.BadProof.selector));
    }

    function testFuzz_SetsOfManyPiecesProve(uint256 seed) public {
        for (uint256 i = 0; i < 2 + (seed % 20); ++i) {
            addPiece(1 + (uint256(keccak256(abi.encode(seed, i))) % 9));
        }
        toNextPeriod();
        vm.prevrandao(keccak256(abi.encode(seed)));
        draw();
        uint256 range = deals.dataSet(id).challengeRange;
        prove(id, answer());
        vm.assertEq(deals.owed(provider), range * PRICE);
    }

    /// `challenges` of a set that nobody touched in the period tells what the proof's own roll will find.
    function testFuzz_RemovedPiecesAreNeverChallenged(uint256 seed) public {
        for (uint256 i = 0; i < 9; ++i) {
            addPiece(1 + (uint256(keccak256(abi.encode(seed, i))) % 9));
        }
        toNextPeriod();
        uint256 gone = 0;
        uint256 leaves = 0;
        for (uint64 p = 0; p < sizes.length; ++p) {
            if (uint256(keccak256(abi.encode(seed, "remove", p))) % 2 == 0 && gone != sizes.length - 1) {
                deals.scheduleRemovals(id, list(p), signRemovals(id, list(p)));
                ++gone;
            } else {
                leaves += sizes[p];
            }
        }
        toNextPeriod();
        draw();
        vm.assertEq(deals.dataSet(id).challengeRange, leaves);
        (uint64[] memory ids,) = deals.challenges(id);
        for (uint256 i = 0; i < ids.length; ++i) {
            (, bool live) = deals.piece(id, ids[i]);
            vm.assertTrue(live);
        }
        uint128 before = deals.owed(provider);
        prove(id, answer());
        vm.assertEq(deals.owed(provider) - before, leaves * PRICE);
    }

    // --- faults ---

    function test_AMissedPeriodIsReportedOnceAndCostsStake() public {
        toNextPeriod();
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.NotFaulted.selector, id, 1)); // not over yet
        deals.reportFault(id, 1);
        toNextPeriod();
        vm.expectEmit(address(deals));
        emit IStorageDeals.Faulted(id, provider, 1, 240 * PRICE, stranger);
        vm.prank(stranger);
        deals.reportFault(id, 1);
        vm.assertEq(registry.provider(provider).stake, 10 * MIN_STAKE - 240 * PRICE);
        vm.assertEq(token.balanceOf(stranger), 48 * PRICE);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.NotFaulted.selector, id, 1));
        deals.reportFault(id, 1);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.NotFaulted.selector, id, 0)); // nothing was due then
        deals.reportFault(id, 0);
        vm.assertEq(deals.owed(provider), 0);
    }

    function test_AProvenPeriodIsNoFault() public {
        toNextPeriod();
        draw();
        prove(id, answer());
        toNextPeriod();
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.NotFaulted.selector, id, 1));
        deals.reportFault(id, 1);
    }

    function test_EachPeriodIsJudgedByWhatItHeldThoughTouchedMuchLater() public {
        vm.warp(START + 10 * PERIOD);
        addPiece(100); // counts from period 11 on
        vm.warp(START + 20 * PERIOD);
        uint128 before = registry.provider(provider).stake;
        deals.reportFault(id, 4);
        vm.assertEq(before - registry.provider(provider).stake, 240 * PRICE);
        before = registry.provider(provider).stake;
        deals.reportFault(id, 11);
        vm.assertEq(before - registry.provider(provider).stake, 1240 * PRICE);
    }

    function test_MoneyThatComesLaterMakesNoPastPeriodAFault() public {
        bytes32 unfunded = openSet(PRICE, "unfunded");
        IStorageDeals.Piece[] memory added = new IStorageDeals.Piece[](1);
        added[0] = Trees.piece(0, 16);
        addPieces(unfunded, added);
        vm.warp(START + 3 * PERIOD);
        fundSet(unfunded, 1e18, "late");
        vm.warp(START + 5 * PERIOD);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.NotFaulted.selector, unfunded, 3));
        deals.reportFault(unfunded, 3);
        deals.reportFault(unfunded, 4);
    }

    function test_FaultsLapseAndEndedSetsHaveNone() public {
        vm.warp(START + 257 * PERIOD);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.NotFaulted.selector, id, 1));
        deals.reportFault(id, 1);
        deals.reportFault(id, 2);
        deals.terminate(id, signTerminate(id));
        vm.warp(START + 260 * PERIOD);
        deals.reportFault(id, 257);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.NotFaulted.selector, id, 258));
        deals.reportFault(id, 258);
    }

    function test_AFaultOnAHugePriceIsCapped() public {
        bytes32 dear = openSet(type(uint128).max, "dear");
        fundSet(dear, 100_000e18, "fund");
        IStorageDeals.Piece[] memory added = new IStorageDeals.Piece[](1);
        added[0] = Trees.piece(0, 16);
        addPieces(dear, added);
        vm.warp(START + 2 * PERIOD);
        deals.reportFault(dear, 1);
        vm.assertEq(registry.provider(provider).stake, (10 * MIN_STAKE / 100) * 95);
    }
}
