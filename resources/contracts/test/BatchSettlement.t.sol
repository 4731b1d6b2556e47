// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IBatchSettlement} from "../src/interfaces/IBatchSettlement.sol";
import {bound, signed, vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";
import {AllowanceCollector, ContractWallet} from "./support/Hostile.sol";

contract BatchSettlementTest is World {
    IBatchSettlement.ChannelConfig private config;
    bytes32 private id;

    function setUp() public override {
        super.setUp();
        config = channel("salt");
        id = settlement.getChannelId(config);
    }

    function claim(uint128 ceiling, uint128 total) private {
        IBatchSettlement.VoucherClaim[] memory batch = claims(voucher(config, ceiling, total));
        vm.prank(operator);
        settlement.claim(batch);
    }

    function balance() private view returns (uint128 amount) {
        (amount,) = settlement.channels(id);
    }

    function claimed() private view returns (uint128 amount) {
        (, amount) = settlement.channels(id);
    }

    // --- typed data ---

    /// The same digests, spelt out from x402's type strings.
    function testFuzz_DigestsAreThoseOfX402(uint128 amount, uint256 nonce) public view {
        bytes32 domain = domainOf("x402 Batch Settlement", SETTLEMENT);
        bytes32 configType = keccak256(
            "ChannelConfig(address payer,address payerAuthorizer,address receiver,address receiverAuthorizer,address token,uint40 withdrawDelay,bytes32 salt)"
        );
        vm.assertEq(id, digest(domain, keccak256(bytes.concat(configType, abi.encode(config)))));

        bytes32 voucherType = keccak256("Voucher(bytes32 channelId,uint128 maxClaimableAmount)");
        vm.assertEq(
            settlement.getVoucherDigest(id, amount), digest(domain, keccak256(abi.encode(voucherType, id, amount)))
        );
        bytes32 refundType = keccak256("Refund(bytes32 channelId,uint256 nonce,uint128 amount)");
        vm.assertEq(
            settlement.getRefundDigest(id, nonce, amount),
            digest(domain, keccak256(abi.encode(refundType, id, nonce, amount)))
        );
        string memory entry = "ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)";
        bytes32 entryHash = keccak256(abi.encode(keccak256(bytes(entry)), id, amount, amount / 2));
        bytes32 batchType = keccak256(bytes.concat("ClaimBatch(ClaimEntry[] claims)", bytes(entry)));
        IBatchSettlement.VoucherClaim[] memory batch =
            claims(IBatchSettlement.VoucherClaim(IBatchSettlement.Voucher(config, amount), "", amount / 2));
        vm.assertEq(
            settlement.getClaimBatchDigest(batch),
            digest(domain, keccak256(abi.encode(batchType, keccak256(abi.encode(entryHash)))))
        );
    }

    // --- the life of a channel ---

    function test_ADepositByAuthorizationOpensAndTopsUp() public {
        vm.expectEmit(SETTLEMENT);
        emit IBatchSettlement.ChannelCreated(id, config);
        vm.expectEmit(SETTLEMENT);
        emit IBatchSettlement.Deposited(id, address(this), 10e18, 10e18);
        deposit(config, 10e18, 1);
        vm.expectEmit(SETTLEMENT);
        emit IBatchSettlement.Deposited(id, address(this), 5e18, 15e18);
        deposit(config, 5e18, 2);
        vm.assertEq(balance(), 15e18);
        vm.assertEq(token.balanceOf(SETTLEMENT), 15e18);
    }

    function test_ClaimsBookAndSettlePays() public {
        deposit(config, 10e18, 1);
        vm.expectEmit(SETTLEMENT);
        emit IBatchSettlement.Claimed(id, operator, 4e18, 4e18);
        claim(6e18, 4e18);
        vm.assertEq(token.balanceOf(payout), 0);
        vm.expectEmit(SETTLEMENT);
        emit IBatchSettlement.Settled(payout, address(token), stranger, 4e18);
        vm.prank(stranger);
        settlement.settle(payout, address(token));
        vm.assertEq(token.balanceOf(payout), 4e18);

        claim(6e18, 6e18);
        settlement.settle(payout, address(token));
        vm.assertEq(token.balanceOf(payout), 6e18);
        settlement.settle(payout, address(token)); // nothing left: nothing happens
        vm.assertEq(token.balanceOf(payout), 6e18);
    }

    function test_AClaimThatDoesNotGrowIsNoOp() public {
        deposit(config, 10e18, 1);
        claim(6e18, 6e18);
        claim(6e18, 6e18);
        claim(6e18, 2e18);
        vm.assertEq(claimed(), 6e18);
        (uint128 booked,) = settlement.receivers(payout, address(token));
        vm.assertEq(booked, 6e18);
    }

    function test_OneSignatureClaimsManyChannels() public {
        IBatchSettlement.VoucherClaim[] memory batch = new IBatchSettlement.VoucherClaim[](3);
        for (uint256 i = 0; i < 3; ++i) {
            deposit(channel(bytes32(i)), 10e18, i);
            batch[i] = voucher(channel(bytes32(i)), 9e18, uint128(i + 1) * 1e18);
        }
        bytes memory signature = signed(OPERATOR_KEY, settlement.getClaimBatchDigest(batch));
        vm.prank(stranger);
        settlement.claimWithSignature(batch, signature);
        (uint128 booked,) = settlement.receivers(payout, address(token));
        vm.assertEq(booked, 6e18);
    }

    function test_ABatchMayMixReceivers() public {
        IBatchSettlement.VoucherClaim[] memory batch = new IBatchSettlement.VoucherClaim[](4);
        for (uint256 i = 0; i < 4; ++i) {
            IBatchSettlement.ChannelConfig memory one = channel(bytes32(i));
            one.receiver = i % 2 == 0 ? payout : stranger;
            deposit(one, 10e18, i);
            batch[i] = voucher(one, 9e18, uint128(1 << i));
        }
        vm.prank(operator);
        settlement.claim(batch);
        (uint128 first,) = settlement.receivers(payout, address(token));
        (uint128 second,) = settlement.receivers(stranger, address(token));
        vm.assertEq(first, 5);
        vm.assertEq(second, 10);
    }

    function test_AContractWalletPaysWithItsOwnSignature() public {
        ContractWallet wallet = new ContractWallet(customer);
        token.transfer(address(wallet), 10e18);
        AllowanceCollector collector = new AllowanceCollector();
        wallet.approve(address(token), address(collector));
        config.payer = address(wallet);
        config.payerAuthorizer = address(0);
        id = settlement.getChannelId(config);
        settlement.deposit(config, 10e18, address(collector), "");

        IBatchSettlement.VoucherClaim[] memory batch = claims(voucher(config, 5e18, 5e18));
        vm.prank(operator);
        vm.expectRevert(IBatchSettlement.InvalidSignature.selector);
        settlement.claim(batch);
        batch[0].signature = signed(CUSTOMER_KEY, settlement.getVoucherDigest(id, 5e18));
        vm.prank(operator);
        settlement.claim(batch);
        vm.assertEq(claimed(), 5e18);
    }

    // --- the payer's way out ---

    function test_ThePayerGetsTheUnclaimedRestAfterTheDelay() public {
        deposit(config, 10e18, 1);
        vm.expectEmit(SETTLEMENT);
        emit IBatchSettlement.WithdrawInitiated(id, 10e18, uint40(START + 1 hours));
        vm.prank(spender);
        settlement.initiateWithdraw(config, 10e18);
        vm.warp(START + 1 hours - 1);
        claim(4e18, 4e18); // the receiver still has time
        vm.prank(spender);
        vm.expectRevert(IBatchSettlement.WithdrawDelayNotElapsed.selector);
        settlement.finalizeWithdraw(config);

        vm.warp(START + 1 hours);
        uint256 before = token.balanceOf(spender);
        vm.prank(spender);
        settlement.finalizeWithdraw(config);
        vm.assertEq(token.balanceOf(spender) - before, 6e18);
        vm.assertEq(balance(), claimed());
        vm.prank(spender);
        vm.expectRevert(IBatchSettlement.WithdrawalNotPending.selector);
        settlement.finalizeWithdraw(config);
    }

    function test_APartialRefundDoesNotStopTheWithdrawalClock() public {
        deposit(config, 10e18, 1);
        vm.prank(spender);
        settlement.initiateWithdraw(config, 10e18);
        vm.prank(operator);
        settlement.refund(config, 1);
        (uint128 waiting, uint40 since) = settlement.pendingWithdrawals(id);
        vm.assertEq(since, START);
        vm.assertEq(waiting, 10e18 - 1);
        vm.prank(spender);
        vm.expectRevert(IBatchSettlement.WithdrawalAlreadyPending.selector);
        settlement.initiateWithdraw(config, 1);
        vm.expectEmit(SETTLEMENT);
        emit IBatchSettlement.Refunded(id, operator, 10e18 - 1);
        vm.expectEmit(SETTLEMENT);
        emit IBatchSettlement.ChannelClosed(id, config);
        vm.prank(operator);
        settlement.refund(config, type(uint128).max);
        (, since) = settlement.pendingWithdrawals(id);
        vm.assertEq(since, 0);
        vm.assertEq(token.balanceOf(SETTLEMENT), 0);
    }

    function testFuzz_ARefundGivesAtMostWhatIsUnclaimed(uint128 total, uint128 asked) public {
        total = uint128(bound(total, 0, 10e18 - 1));
        asked = uint128(bound(asked, 1, type(uint128).max));
        deposit(config, 10e18, 1);
        claim(10e18, total);
        uint256 before = token.balanceOf(spender);
        bytes memory signature = signed(OPERATOR_KEY, settlement.getRefundDigest(id, 0, asked));
        settlement.refundWithSignature(config, asked, 0, signature);
        uint256 given = token.balanceOf(spender) - before;
        vm.assertEq(given, asked < 10e18 - total ? asked : 10e18 - total);
        vm.assertEq(balance(), 10e18 - given);
        vm.assertEq(settlement.refundNonce(id), 1);
    }

    function test_ClaimAndRefundRunInOneMulticall() public {
        deposit(config, 10e18, 1);
        IBatchSettlement.VoucherClaim[] memory batch = claims(voucher(config, 4e18, 4e18));
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(
            settlement.claimWithSignature, (batch, signed(OPERATOR_KEY, settlement.getClaimBatchDigest(batch)))
        );
        calls[1] = abi.encodeCall(
            settlement.refundWithSignature,
            (config, type(uint128).max, 0, signed(OPERATOR_KEY, settlement.getRefundDigest(id, 0, type(uint128).max)))
        );
        settlement.multicall(calls);
        vm.assertEq(balance(), 4e18);
        vm.assertEq(claimed(), 4e18);
    }
}
