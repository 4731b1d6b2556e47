// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IRandomness} from "../src/interfaces/IRandomness.sol";
import {IStorageDeals} from "../src/interfaces/IStorageDeals.sol";
import {Deals} from "./support/Deployed.sol";
import {Trees} from "./support/Trees.sol";
import {vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// A beacon whose next value a test chooses.
contract Beacon is IRandomness {
    bytes32 public value;
    uint64 public asked;

    function set(bytes32 next) external {
        value = next;
    }

    function draw(uint64 period) external returns (bytes32) {
        if (value == 0) revert("not yet");
        asked = period;
        return value;
    }
}

/// Asks for another draw while one is made.
contract GreedyBeacon is IRandomness {
    bool private _inside;

    function draw(uint64) external returns (bytes32) {
        if (_inside) return "second";
        _inside = true;
        IStorageDeals(msg.sender).poke();
        return "first";
    }
}

/// How data sets end, what became of their periods, and where seeds come from.
contract DealsEndTest is World {
    uint128 private constant PRICE = 1e9;
    bytes32 private id;

    function setUp() public override {
        super.setUp();
        id = openSet(PRICE, "salt");
        fundSet(id, 1e18, "fund");
        IStorageDeals.Piece[] memory added = new IStorageDeals.Piece[](1);
        added[0] = Trees.piece(0, 1);
        addPieces(id, added);
    }

    function proveNext() private {
        toNextPeriod();
        toWindow();
        deals.poke();
        prove(id, Trees.proof(0, 1, 0));
    }

    function state(uint64 inPeriod) private view returns (uint256) {
        return uint256(deals.stateOf(id, inPeriod));
    }

    // --- termination ---

    function test_TerminationSettlesWhatIsOwed() public {
        proveNext();
        vm.assertEq(deals.owed(provider), PRICE);
        vm.prank(operator);
        deals.terminate(id, "");
        vm.assertEq(deals.owed(provider), 0);
        vm.assertEq(token.balanceOf(payout), PRICE);
    }

    function test_WhoHandedAProviderOverEndsNoneOfItsSets() public {
        vm.prank(provider);
        registry.proposeOwner(stranger);
        vm.prank(stranger);
        registry.acceptOwner(provider);
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.NotParty.selector, provider));
        deals.terminate(id, "");
        vm.prank(stranger);
        deals.terminate(id, "");
    }

    // --- inactivity ---

    function test_AnyoneEndsASetThatNobodyProves() public {
        proveNext(); // period 1: active until period 32
        vm.warp(START + 31 * PERIOD);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.StillActive.selector, id, 32));
        deals.endInactive(id);
        vm.warp(START + 32 * PERIOD);
        vm.expectEmit(address(deals));
        emit IStorageDeals.Terminated(id, stranger, 31);
        vm.prank(stranger);
        deals.endInactive(id);

        // At once: the running period is not due, the missed ones stay faults, the escrow is the customer's.
        vm.assertEq(state(32), uint256(IStorageDeals.State.NotDue));
        vm.assertEq(state(31), uint256(IStorageDeals.State.Faulted));
        deals.reportFault(id, 31);
        uint256 before = token.balanceOf(customer);
        deals.returnEscrow(id);
        vm.assertEq(token.balanceOf(customer), before + 1e18 - PRICE);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.SetEnded.selector, id));
        deals.endInactive(id);
    }

    function test_ASetThatIsProvenIsNeverInactive() public {
        for (uint256 i = 0; i < 31; ++i) {
            proveNext();
        }
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.StillActive.selector, id, 62));
        deals.endInactive(id);
    }

    function test_ASetThatWasNeverUsedIsClearedAwayToo() public {
        bytes32 empty = openSet(PRICE, "empty");
        vm.warp(START + 29 * PERIOD);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.StillActive.selector, empty, 30));
        deals.endInactive(empty);
        vm.warp(START + 30 * PERIOD);
        deals.endInactive(empty);
        vm.assertEq(deals.dataSet(empty).endsAfter, 29);
    }

    // --- what is left to do ---

    function test_NextActionTellsWhenAnUnusedSetCanBeCleared() public {
        bytes32 empty = openSet(PRICE, "empty");
        fundSet(empty, 5, "five");
        vm.warp(START + 30 * PERIOD - 1);
        expectStep(empty, IStorageDeals.Step.Nothing, START + 31 * PERIOD - WINDOW);
        vm.warp(START + 30 * PERIOD);
        expectStep(empty, IStorageDeals.Step.End, START + 30 * PERIOD);
        deals.endInactive(empty);
        expectStep(empty, IStorageDeals.Step.Return, START + 30 * PERIOD);
        deals.returnEscrow(empty);
        expectStep(empty, IStorageDeals.Step.Nothing, type(uint64).max);
    }

    function test_NextActionHasASetProvenThatAnyoneMayEnd() public {
        vm.warp(START + 40 * PERIOD);
        expectStep(id, IStorageDeals.Step.Nothing, START + 41 * PERIOD - WINDOW);
        toWindow();
        deals.poke();
        expectStep(id, IStorageDeals.Step.Prove, START + 41 * PERIOD - WINDOW);
        prove(id, Trees.proof(0, 1, 0));
        toNextPeriod();
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.StillActive.selector, id, 71));
        deals.endInactive(id);
    }

    function test_NextActionLeavesASetAloneThatWasFilledAgain() public {
        bytes32 late = openSet(PRICE, "late");
        vm.warp(START + 30 * PERIOD);
        expectStep(late, IStorageDeals.Step.End, START + 30 * PERIOD);
        IStorageDeals.Piece[] memory added = new IStorageDeals.Piece[](1);
        added[0] = Trees.piece(0, 1);
        addPieces(late, added);
        expectStep(late, IStorageDeals.Step.Nothing, START + 32 * PERIOD - WINDOW);
    }

    /// The view says nothing that the contract then refuses, and misses no escrow that could go back.
    function testFuzz_NextActionIsWhatTheContractTakes(uint256 seed) public {
        bytes32 empty = openSet(PRICE, "empty");
        for (uint256 i = 0; i < 4; ++i) {
            uint256 random = uint256(keccak256(abi.encode(seed, i)));
            if (random % 4 == 0) proveNext();
            else if (random % 4 == 1) fundSet(empty, 1, bytes32(i));
            else vm.warp(block.timestamp + (random >> 8) % (20 * PERIOD));
        }
        if (seed % 3 == 0) deals.terminate(id, signTerminate(id));
        if (seed % 5 == 0 && period() < 30) deals.terminate(empty, signTerminate(empty));
        vm.warp(block.timestamp + (seed >> 128) % (3 * PERIOD));
        follow(id);
        follow(empty);
    }

    function follow(bytes32 set) private {
        (IStorageDeals.Step step,,,) = deals.nextAction(set);
        if (step == IStorageDeals.Step.End) {
            vm.assertEq(deals.dataSet(set).leafCount, 0);
            deals.endInactive(set);
            (step,,,) = deals.nextAction(set);
        }
        (bool returned,) = address(deals).call(abi.encodeCall(deals.returnEscrow, (set)));
        vm.assertEq(returned, step == IStorageDeals.Step.Return);
        if (step == IStorageDeals.Step.Poke) deals.poke();
        (IStorageDeals.Step after_,,,) = deals.nextAction(set);
        if (step == IStorageDeals.Step.Poke || step == IStorageDeals.Step.Prove) {
            vm.assertTrue(after_ == IStorageDeals.Step.Prove);
            prove(set, Trees.proof(0, 1, 0));
            (after_,,,) = deals.nextAction(set);
        }
        vm.assertTrue(after_ == IStorageDeals.Step.Nothing);
    }

    function expectStep(bytes32 set, IStorageDeals.Step step, uint256 notBefore) private view {
        (IStorageDeals.Step told,, uint64 from,) = deals.nextAction(set);
        vm.assertEq(uint256(told), uint256(step));
        vm.assertEq(from, notBefore);
    }

    // --- what became of a period ---

    function test_EveryPeriodIsOpenProvenFaultedOrNotDue() public {
        vm.assertEq(state(1), uint256(IStorageDeals.State.Open));
        toNextPeriod();
        vm.assertEq(state(0), uint256(IStorageDeals.State.NotDue)); // added in it
        vm.assertEq(state(1), uint256(IStorageDeals.State.Open));
        proveNext(); // period 2
        vm.assertEq(state(1), uint256(IStorageDeals.State.Faulted));
        vm.assertEq(state(2), uint256(IStorageDeals.State.Proven));
        deals.terminate(id, signTerminate(id));
        vm.assertEq(state(3), uint256(IStorageDeals.State.NotDue));
    }

    /// The view foresees, for sets that nobody touched, what a report will find.
    function testFuzz_FaultedIsWhatCanBeReported(uint256 seed) public {
        for (uint256 i = 0; i < 6; ++i) {
            uint256 random = uint256(keccak256(abi.encode(seed, i)));
            if (random % 3 == 0) proveNext();
            else if (random % 3 == 1) vm.warp(block.timestamp + (random >> 8) % (3 * PERIOD));
            else if (deals.dataSet(id).escrow > 1e17) fundSet(id, 1, bytes32(i));
        }
        if (seed % 2 == 0) deals.terminate(id, signTerminate(id));
        vm.warp(block.timestamp + (seed >> 128) % (4 * PERIOD));
        for (uint64 p = 0; p < period() + 2; ++p) {
            bool faulted = state(p) == uint256(IStorageDeals.State.Faulted);
            (bool reported,) = address(deals).call(abi.encodeCall(deals.reportFault, (id, p)));
            vm.assertEq(reported, faulted);
        }
    }

    // --- randomness ---

    function withRandomness(address source) private returns (Deals) {
        bytes memory arguments =
            abi.encode(address(token), address(registry), uint64(START), PERIOD, WINDOW, source);
        return Deals(vm.deployCode("StorageDeals.sol:StorageDeals", arguments));
    }

    function test_SeedsCanComeFromABeacon() public {
        Beacon beacon = new Beacon();
        Deals other = withRandomness(address(beacon));
        toWindow();
        vm.expectRevert("not yet");
        other.poke();
        beacon.set("round 7");
        other.poke();
        vm.assertEq(beacon.asked(), 0);
        vm.assertEq(other.seedOf(0), keccak256(abi.encode(bytes32("round 7"), uint64(0), address(other))));
        beacon.set("round 8");
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.AlreadySeeded.selector, 0));
        other.poke();
    }

    function test_ABeaconThatCallsBackDrawsOnce() public {
        Deals other = withRandomness(address(new GreedyBeacon()));
        toWindow();
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.AlreadySeeded.selector, 0));
        other.poke();
        vm.assertEq(other.seedOf(0), 0);
    }
}
