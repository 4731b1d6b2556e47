// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IStorageDeals} from "../src/interfaces/IStorageDeals.sol";
import {Trees} from "./support/Trees.sol";
import {FuzzSelector, bound, vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// Two data sets with real pieces, through additions, removals, proofs, lies, faults and the passing of time.
contract DealsActors is World {
    bytes32[2] public ids;
    uint256 private _salt;
    uint256[][2] private _sizes; // leaves by piece
    mapping(bytes32 setId => mapping(uint64 period => uint256)) private _paid; // proofs that were paid
    mapping(bytes32 setId => mapping(uint64 piece => uint64)) private _goneFrom; // period + 1
    mapping(bytes32 setId => uint256) public funded;
    mapping(bytes32 setId => uint256) public returned;
    uint256 public settled;
    string public broken; // the first rule seen broken, in words

    function setUp() public override {
        super.setUp();
        for (uint256 i = 0; i < 2; ++i) {
            ids[i] = openSet(uint128(i + 1) * 1e9, bytes32(i));
        }
    }

    function doFund(uint256 i, uint128 amount) external {
        bytes32 id = ids[i % 2];
        if (ended(id)) return;
        amount = uint128(bound(amount, 1, 200e9));
        fundSet(id, amount, bytes32(++_salt));
        funded[id] += amount;
    }

    function doAdd(uint256 i, uint256 leaves) external {
        i %= 2;
        if (ended(ids[i]) || _sizes[i].length == 20 || !registry.isActive(provider)) return;
        IStorageDeals.Piece[] memory added = new IStorageDeals.Piece[](1);
        leaves = bound(leaves, 1, 9);
        added[0] = Trees.piece(_sizes[i].length, leaves);
        addPieces(ids[i], added);
        _sizes[i].push(leaves);
    }

    function doRemove(uint256 i, uint64 piece) external {
        i %= 2;
        if (ended(ids[i]) || _sizes[i].length == 0) return;
        piece = uint64(piece % _sizes[i].length);
        if (_goneFrom[ids[i]][piece] != 0) return;
        deals.scheduleRemovals(ids[i], list(piece), signRemovals(ids[i], list(piece)));
        _goneFrom[ids[i]][piece] = period() + 2;
    }

    function doProve(uint256 i, uint256 lie) external {
        i %= 2;
        bytes32 id = ids[i];
        if (deals.seedOf(period()) == 0) {
            toWindow();
            deals.poke();
        }
        (uint64[] memory pieces, uint64[] memory leaves) = deals.challenges(id);
        for (uint256 c = 0; c < pieces.length; ++c) {
            uint64 gone = _goneFrom[id][pieces[c]];
            if (gone != 0 && period() + 1 >= gone) broken = "a removed piece was challenged";
        }
        bytes memory data = Trees.answer(pieces, leaves, _sizes[i]);
        bool truth = lie % 3 != 0 || data.length == 0;
        if (!truth) data[lie % data.length] ^= 0x01;
        bool valid = truth && data.length != 0 && !deals.isProven(id, period());

        uint128 before = deals.owed(provider);
        if (!valid) vm.expectRevert();
        prove(id, data);
        if (!valid && deals.owed(provider) != before) broken = "a refused proof was paid";
        if (valid) ++_paid[id][period()];
        if (_paid[id][period()] > 1) broken = "a period was paid twice";
    }

    function doReport(uint256 i, uint64 back) external {
        bytes32 id = ids[i % 2];
        if (period() == 0) return;
        uint64 which = uint64(period() - 1 - (back % 5 < period() ? back % 5 : 0));
        uint256 stake = registry.provider(provider).stake;
        try deals.reportFault(id, which) {
            if (_paid[id][which] != 0) broken = "a proven period was called a fault";
        } catch {
            if (registry.provider(provider).stake != stake) broken = "a refused report cost stake";
        }
    }

    function doSettle() external {
        if (deals.owed(provider) != 0) settled += deals.settle(provider);
    }

    function doEnd(uint256 i, uint256 chance) external {
        bytes32 id = ids[i % 2];
        if (chance % 8 == 0 && !ended(id) && deals.dataSet(id).endsAfter == type(uint64).max) {
            settled += deals.owed(provider);
            deals.terminate(id, signTerminate(id));
        }
        uint128 escrow = deals.dataSet(id).escrow;
        if (ended(id) && escrow != 0) {
            deals.returnEscrow(id);
            returned[id] += escrow;
        }
    }

    function doWait(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 1, 2 * uint256(PERIOD)));
    }

    function ended(bytes32 id) private view returns (bool) {
        return deals.dataSet(id).endsAfter < period();
    }

    function books() external view returns (uint256 held, uint256 escrows, uint256 paid, uint256 owed) {
        held = token.balanceOf(address(deals));
        owed = deals.owed(provider);
        for (uint256 i = 0; i < 2; ++i) {
            escrows += deals.dataSet(ids[i]).escrow;
            paid += deals.dataSet(ids[i]).paid;
        }
    }

    function setOf(uint256 i) external view returns (IStorageDeals.DataSet memory) {
        return deals.dataSet(ids[i]);
    }

    /// Leaves of the pieces that are live now, counted one by one.
    function liveLeaves(uint256 i) external view returns (uint256 leaves) {
        for (uint64 p = 0; p < _sizes[i].length; ++p) {
            (IStorageDeals.Piece memory piece, bool live) = deals.piece(ids[i], p);
            bool gone = _goneFrom[ids[i]][p] != 0 && period() + 1 >= _goneFrom[ids[i]][p];
            vm.assertEq(live, !gone);
            leaves += piece.leafCount;
        }
    }
}

contract DealsInvariantTest {
    DealsActors private actors;

    function setUp() public {
        actors = DealsActors(vm.deployCode("DealsInvariant.t.sol:DealsActors"));
        actors.setUp();
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        bytes4[] memory selectors = new bytes4[](8);
        selectors[0] = actors.doFund.selector;
        selectors[1] = actors.doAdd.selector;
        selectors[2] = actors.doRemove.selector;
        selectors[3] = actors.doProve.selector;
        selectors[4] = actors.doReport.selector;
        selectors[5] = actors.doSettle.selector;
        selectors[6] = actors.doEnd.selector;
        selectors[7] = actors.doWait.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(actors), selectors);
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actors);
    }

    function invariant_TokensHeldAreEscrowsAndDebts() public view {
        (uint256 held, uint256 escrows, uint256 paid, uint256 owed) = actors.books();
        vm.assertEq(held, escrows + owed);
        vm.assertEq(paid, owed + actors.settled());
    }

    function invariant_EverySetAccountsForItsFunds() public view {
        for (uint256 i = 0; i < 2; ++i) {
            IStorageDeals.DataSet memory set = actors.setOf(i);
            bytes32 id = actors.ids(i);
            vm.assertEq(actors.funded(id), uint256(set.escrow) + set.paid + actors.returned(id));
            vm.assertEq(actors.liveLeaves(i), set.leafCount);
            vm.assertLe(set.challengeRange, set.leafCount);
        }
    }

    function invariant_NoRuleWasSeenBroken() public view {
        vm.assertEq(actors.broken(), "");
    }
}
