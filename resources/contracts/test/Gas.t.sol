// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IBatchSettlement} from "../src/interfaces/IBatchSettlement.sol";
import {IStorageDeals} from "../src/interfaces/IStorageDeals.sol";
import {signed, vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// What each kind of transaction costs, base and calldata included; snapshots/*.json hold the figures.
contract GasTest is World {
    uint256 private constant GIB = 1 << 22; // leaves

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
}
