// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IBatchSettlement} from "../src/interfaces/IBatchSettlement.sol";
import {IStorageDeals} from "../src/interfaces/IStorageDeals.sol";
import {Trees} from "./support/Trees.sol";
import {signed, vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// What each kind of transaction costs, base and calldata included; snapshots/*.json hold the figures.
contract GasTest is World {
    uint256 private constant GIB = 1 << 22; // leaves
    bytes32 private constant RANDAO = keccak256("a fair draw");

    // --- payments ---

    function test_Gas_deposit() public {
        IBatchSettlement.ChannelConfig memory config = channel("gas");
        bytes32 id = settlement.getChannelId(config);
        bytes memory data = depositData(id, 10e18, 1);
        settlement.deposit(config, 10e18, COLLECTOR, data);
        vm.snapshotGasLastCall("settlement", "deposit by ERC-3009, first");
        data = depositData(id, 10e18, 2);
        settlement.deposit(config, 10e18, COLLECTOR, data);
        vm.snapshotGasLastCall("settlement", "deposit by ERC-3009, later");
    }

    function test_Gas_claimOneAndSettle() public {
        IBatchSettlement.ChannelConfig memory config = channel("gas");
        deposit(config, 10e18, 1);
        for (uint128 round = 1; round <= 2; ++round) {
            IBatchSettlement.VoucherClaim[] memory batch = claims(voucher(config, round * 1e18, round * 1e18));
            vm.prank(operator);
            settlement.claim(batch);
            vm.snapshotGasLastCall("settlement", round == 1 ? "claim 1 voucher, first" : "claim 1 voucher, later");
            settlement.settle(payout, address(token));
            vm.snapshotGasLastCall("settlement", round == 1 ? "settle, first" : "settle, later");
        }
    }

    function test_Gas_claimTen() public {
        IBatchSettlement.VoucherClaim[] memory batch = new IBatchSettlement.VoucherClaim[](10);
        for (uint256 i = 0; i < 10; ++i) {
            deposit(channel(bytes32(i)), 10e18, i);
        }
        for (uint128 round = 1; round <= 2; ++round) {
            for (uint256 i = 0; i < 10; ++i) {
                batch[i] = voucher(channel(bytes32(i)), round * 1e18, round * 1e18);
            }
            vm.prank(operator);
            settlement.claim(batch);
            vm.snapshotGasLastCall("settlement", round == 1 ? "claim 10 vouchers, first" : "claim 10 vouchers, later");
        }
        for (uint256 i = 0; i < 10; ++i) {
            batch[i] = voucher(channel(bytes32(i)), 3e18, 3e18);
        }
        bytes memory signature = signed(OPERATOR_KEY, settlement.getClaimBatchDigest(batch));
        settlement.claimWithSignature(batch, signature);
        vm.snapshotGasLastCall("settlement", "claimWithSignature 10 vouchers, later");
    }

    function test_Gas_refund() public {
        IBatchSettlement.ChannelConfig memory config = channel("gas");
        deposit(config, 10e18, 1);
        vm.prank(operator);
        settlement.refund(config, 4e18);
        vm.snapshotGasLastCall("settlement", "refund");
        bytes memory signature =
            signed(OPERATOR_KEY, settlement.getRefundDigest(settlement.getChannelId(config), 1, 4e18));
        settlement.refundWithSignature(config, 4e18, 1, signature);
        vm.snapshotGasLastCall("settlement", "refundWithSignature");
    }

    // --- storage ---

    function test_Gas_openFundAdd() public {
        IStorageDeals.Terms memory t = terms(1e9, uint64(START + 365 days), "gas");
        bytes32 setId = deals.dataSetId(t);
        IStorageDeals.Piece[] memory pieces = new IStorageDeals.Piece[](1);
        pieces[0] = IStorageDeals.Piece(keccak256("root"), uint64(GIB));
        uint256 before = block.timestamp + 1 hours;
        bytes memory paid =
            authorization(CUSTOMER_KEY, address(deals), 1e18, before, keccak256(abi.encode(setId, bytes32("salt"))));
        bytes[] memory calls = new bytes[](3);
        calls[0] = abi.encodeCall(deals.open, (t, signTerms(t)));
        calls[1] = abi.encodeCall(deals.fund, (setId, 1e18, 0, before, "salt", paid));
        calls[2] = abi.encodeCall(deals.add, (setId, pieces, 0, signAdd(setId, 0, pieces)));
        vm.prank(operator);
        deals.multicall(calls);
        vm.snapshotGasLastCall("deals", "open, fund and add 1 piece in one transaction");

        pieces = new IStorageDeals.Piece[](64);
        for (uint256 i = 0; i < 64; ++i) {
            pieces[i] = IStorageDeals.Piece(keccak256(abi.encode("root", i)), uint64(GIB));
        }
        bytes memory signature = signAdd(setId, 1, pieces);
        vm.prank(operator);
        deals.add(setId, pieces, 1, signature);
        vm.snapshotGasLastCall("deals", "add 64 pieces");
    }

    function test_Gas_poke() public {
        toWindow();
        deals.poke();
        vm.snapshotGasLastCall("deals", "poke");
    }

    function test_Gas_proveOnePieceOfOneGib() public {
        bytes32 setId = openSet(1e9, "gas");
        proveTwice(setId, 1, "prove 1 GiB, 1 piece, first", "prove 1 GiB, 1 piece, later");
        vm.assertEq(deals.owed(provider), 2 * 1e9 * GIB);
        deals.settle(provider);
        vm.snapshotGasLastCall("deals", "settle, first");
    }

    function test_Gas_proveSixtyFourPieces() public {
        proveTwice(openSet(1e6, "gas"), 64, "prove 64 GiB, 64 pieces, first", "prove 64 GiB, 64 pieces, later");
    }

    function test_Gas_proveFiveSetsAtOnce() public {
        IStorageDeals.Proof[] memory proofs = new IStorageDeals.Proof[](5);
        for (uint256 i = 0; i < 5; ++i) {
            bytes32 setId = openSet(1e6, bytes32(i));
            fundSet(setId, 1e18, "fund");
            proofs[i] = IStorageDeals.Proof(setId, prepare(setId, 1, 0, period() + 1));
        }
        toNextPeriod();
        draw();
        vm.prank(operator);
        deals.prove(proofs);
        vm.snapshotGasLastCall("deals", "prove 5 sets of 1 GiB in one transaction, first");
    }

    function test_Gas_reportFault() public {
        bytes32 setId = openSet(1e9, "gas");
        fundSet(setId, 1e18, "fund");
        prepare(setId, 1, 0, period() + 1);
        toNextPeriod();
        toNextPeriod();
        vm.prank(stranger);
        deals.reportFault(setId, 1);
        vm.snapshotGasLastCall("deals", "report a fault");
    }

    function proveTwice(bytes32 setId, uint256 pieces, string memory first, string memory later) private {
        fundSet(setId, 1e21, "fund");
        bytes memory data = prepare(setId, pieces, 0, period() + 1);
        toNextPeriod();
        draw();
        prove(setId, data);
        vm.snapshotGasLastCall("deals", first);

        // The same leaf count again, so that the tree answers for the next period's challenges too.
        uint64[] memory all = new uint64[](pieces);
        for (uint64 id = 0; id < pieces; ++id) {
            all[id] = id;
        }
        data = prepare(setId, pieces, pieces, period() + 1);
        deals.scheduleRemovals(setId, all, signRemovals(setId, all));
        toNextPeriod();
        toWindow();
        // Bring the set up to date and the slots to non-zero: what is measured is the steady state.
        fundSet(setId, 1, "touch");
        draw();
        prove(setId, data);
        vm.snapshotGasLastCall("deals", later);
    }

    function draw() private {
        toWindow();
        vm.prevrandao(RANDAO);
        deals.poke();
    }

    /// Adds `pieces` pieces of 1 GiB that hold what `target`'s challenges will ask, and returns the answer.
    function prepare(bytes32 setId, uint256 pieces, uint256 firstId, uint64 target)
        private
        returns (bytes memory data)
    {
        bytes32 seed = keccak256(abi.encode(RANDAO, target, address(deals)));
        uint256[][] memory targets = new uint256[][](pieces);
        for (uint256 i = 0; i < 5; ++i) {
            uint256 index = uint256(keccak256(abi.encode(seed, setId, i))) % (GIB * pieces);
            targets[index / GIB] = appended(targets[index / GIB], index % GIB);
        }
        IStorageDeals.Piece[] memory added = new IStorageDeals.Piece[](pieces);
        for (uint256 i = 0; i < pieces; ++i) {
            added[i] = Trees.partialPiece(firstId + i, targets[i], GIB);
        }
        addPieces(setId, added);
        for (uint256 i = 0; i < 5; ++i) {
            uint256 index = uint256(keccak256(abi.encode(seed, setId, i))) % (GIB * pieces);
            uint256 id = index / GIB;
            data = bytes.concat(data, Trees.partialProof(firstId + id, targets[id], GIB, index % GIB));
        }
    }

    function appended(uint256[] memory old, uint256 value) private pure returns (uint256[] memory longer) {
        longer = new uint256[](old.length + 1);
        for (uint256 i = 0; i < old.length; ++i) {
            longer[i] = old[i];
        }
        longer[old.length] = value;
    }
}
