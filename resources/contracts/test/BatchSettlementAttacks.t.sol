// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Collector} from "./support/Deployed.sol";
import {IBatchSettlement} from "../src/interfaces/IBatchSettlement.sol";
import {AllowanceCollector, FeeToken, NestingCollector, ReentrantToken, StingyCollector} from "./support/Hostile.sol";
import {bound, signed, signedHigh, vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

contract BatchSettlementAttacksTest is World {
    IBatchSettlement.ChannelConfig private config;
    bytes32 private id;

    function setUp() public override {
        super.setUp();
        config = channel("salt");
        id = settlement.getChannelId(config);
        deposit(config, 10e18, 1);
    }

    function expectClaimRefused(IBatchSettlement.VoucherClaim memory item, bytes memory reason) private {
        IBatchSettlement.VoucherClaim[] memory batch = claims(item);
        vm.prank(operator);
        vm.expectRevert(reason);
        settlement.claim(batch);
    }

    // --- vouchers ---

    function test_AVoucherPaysNoMoreThanItSays() public {
        expectClaimRefused(
            voucher(config, 5e18, 5e18 + 1),
            abi.encodeWithSelector(IBatchSettlement.ClaimExceedsCeiling.selector)
        );
    }

    function test_AVoucherPaysNoMoreThanThereIs() public {
        expectClaimRefused(
            voucher(config, 11e18, 11e18),
            abi.encodeWithSelector(IBatchSettlement.ClaimExceedsBalance.selector)
        );
    }

    function test_AVoucherOfOneChannelIsWorthlessInAnother() public {
        IBatchSettlement.ChannelConfig memory other = channel("other");
        deposit(other, 10e18, 2);
        IBatchSettlement.VoucherClaim memory item = voucher(config, 5e18, 5e18);
        item.voucher.channel = other;
        vm.expectPartialRevert(IBatchSettlement.InvalidSignature.selector);
        vm.prank(operator);
        settlement.claim(claims(item));
    }

    function test_AVoucherForAnotherAmountIsNotTheSignedOne() public {
        IBatchSettlement.VoucherClaim memory item = voucher(config, 5e18, 6e18);
        item.voucher.maxClaimableAmount = 6e18;
        expectClaimRefused(item, abi.encodeWithSelector(IBatchSettlement.InvalidSignature.selector));
    }

    function test_MalleatedVouchersAreRefused() public {
        bytes32 hash = settlement.getVoucherDigest(id, 5e18);
        IBatchSettlement.VoucherClaim memory item = voucher(config, 5e18, 5e18);
        bytes memory good = item.signature;

        item.signature = signedHigh(SPENDER_KEY, hash);
        (, bytes32 s) = abi.decode(bytes.concat(item.signature, new bytes(31)), (bytes32, bytes32));
        expectClaimRefused(item, abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureS.selector, s));

        item.signature = bytes.concat(good);
        item.signature[64] = bytes1(uint8(good[64]) - 27);
        expectClaimRefused(item, abi.encodeWithSelector(ECDSA.ECDSAInvalidSignature.selector));

        item.signature = bytes.concat(good, hex"00");
        expectClaimRefused(item, abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureLength.selector, 66));

        item.signature = good;
        vm.prank(operator);
        settlement.claim(claims(item));
    }

    function testFuzz_OnlyThePayersKeySignsVouchers(uint256 key) public {
        key = bound(key, 1, 1e30);
        vm.assume(key != SPENDER_KEY);
        IBatchSettlement.VoucherClaim memory item = voucher(config, 5e18, 5e18);
        item.signature = signed(key, settlement.getVoucherDigest(id, 5e18));
        expectClaimRefused(item, abi.encodeWithSelector(IBatchSettlement.InvalidSignature.selector));
    }

    function test_OnlyTheReceiversSideClaims() public {
        IBatchSettlement.VoucherClaim[] memory batch = claims(voucher(config, 5e18, 5e18));
        vm.prank(spender);
        vm.expectRevert(IBatchSettlement.NotAuthorizedToClaim.selector);
        settlement.claim(batch);
    }

    function test_AClaimSignatureCoversEveryEntryAndTotal() public {
        IBatchSettlement.VoucherClaim[] memory batch = claims(voucher(config, 5e18, 1e18));
        bytes memory signature = signed(OPERATOR_KEY, settlement.getClaimBatchDigest(batch));
        batch[0].totalClaimed = 5e18;
        vm.expectRevert(IBatchSettlement.InvalidSignature.selector);
        settlement.claimWithSignature(batch, signature);
    }

    function test_ABatchHasOneAuthorizer() public {
        IBatchSettlement.ChannelConfig memory other = channel("other");
        other.receiverAuthorizer = stranger;
        deposit(other, 10e18, 2);
        IBatchSettlement.VoucherClaim[] memory batch = new IBatchSettlement.VoucherClaim[](2);
        batch[0] = voucher(config, 5e18, 5e18);
        batch[1] = voucher(other, 5e18, 5e18);
        bytes memory signature = signed(OPERATOR_KEY, settlement.getClaimBatchDigest(batch));
        vm.expectRevert(IBatchSettlement.NotReceiverAuthorizer.selector);
        settlement.claimWithSignature(batch, signature);
    }

    // --- refunds and withdrawals ---

    function test_ARefundSignatureWorksOnce() public {
        bytes memory signature = signed(OPERATOR_KEY, settlement.getRefundDigest(id, 0, 1e18));
        settlement.refundWithSignature(config, 1e18, 0, signature);
        vm.expectRevert(IBatchSettlement.InvalidRefundNonce.selector);
        settlement.refundWithSignature(config, 1e18, 0, signature);
        vm.expectRevert(IBatchSettlement.InvalidSignature.selector);
        settlement.refundWithSignature(config, 1e18, 1, signature);
    }

    function test_ThePayerCannotRefundItself() public {
        vm.prank(spender);
        vm.expectRevert(IBatchSettlement.NotAuthorizedToRefund.selector);
        settlement.refund(config, 1);
    }

    function test_NobodyElseWithdraws() public {
        vm.prank(operator);
        vm.expectRevert(IBatchSettlement.InvalidChannel.selector);
        settlement.initiateWithdraw(config, 1);
        vm.prank(spender);
        vm.expectRevert(IBatchSettlement.WithdrawAmountExceedsAvailable.selector);
        settlement.initiateWithdraw(config, 10e18 + 1);
    }

    function testFuzz_AChannelsConfigIsItsIdentity(uint8 field) public {
        IBatchSettlement.ChannelConfig memory forged = config;
        if (field % 3 == 0) forged.withdrawDelay = 900;
        else if (field % 3 == 1) forged.payer = stranger;
        else forged.salt = "other";
        vm.prank(spender);
        vm.expectRevert(IBatchSettlement.WithdrawAmountExceedsAvailable.selector);
        settlement.initiateWithdraw(forged, 1);
    }

    function test_DelaysAreBounded() public {
        uint40[3] memory delays = [uint40(0), 15 minutes - 1, 30 days + 1];
        for (uint256 i = 0; i < delays.length; ++i) {
            config.withdrawDelay = delays[i];
            vm.expectRevert(IBatchSettlement.WithdrawDelayOutOfRange.selector);
            settlement.deposit(config, 1, COLLECTOR, "");
        }
    }

    // --- deposits ---

    function test_ADepositAuthorizationIsBoundToItsChannelAndUsedOnce() public {
        bytes memory data = depositData(id, 3e18, 7);
        IBatchSettlement.ChannelConfig memory other = channel("other");
        vm.expectRevert(ERC3009.ERC3009InvalidSignature.selector);
        settlement.deposit(other, 3e18, COLLECTOR, data);
        vm.expectRevert(ERC3009.ERC3009InvalidSignature.selector);
        settlement.deposit(config, 4e18, COLLECTOR, data);
        settlement.deposit(config, 3e18, COLLECTOR, data);
        vm.expectPartialRevert(ERC3009.ERC3009UsedAuthorization.selector);
        settlement.deposit(config, 3e18, COLLECTOR, data);
    }

    function test_NobodyCollectsForThemselves() public {
        bytes memory data = depositData(id, 3e18, 7);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(Collector.OnlySettlement.selector, stranger));
        Collector(COLLECTOR).collect(spender, address(token), 3e18, id, data);
    }

    function test_ACollectorThatBringsTooLittleIsRefused() public {
        StingyCollector stingy = new StingyCollector();
        vm.prank(spender);
        token.approve(address(stingy), 1e18);
        vm.expectRevert(IBatchSettlement.DepositCollectionFailed.selector);
        settlement.deposit(config, 1e18, address(stingy), abi.encode(0));
        vm.expectRevert(IBatchSettlement.DepositCollectionFailed.selector);
        settlement.deposit(config, 1e18, address(stingy), abi.encode(1));
    }

    function test_ATokenThatTakesAFeeIsRefused() public {
        FeeToken fee = new FeeToken();
        AllowanceCollector collector = new AllowanceCollector();
        fee.transfer(spender, 1_000_000);
        vm.prank(spender);
        fee.approve(address(collector), 1_000);
        config.token = address(fee);
        vm.expectRevert(IBatchSettlement.DepositCollectionFailed.selector);
        settlement.deposit(config, 1_000, address(collector), "");
    }

    function test_OneTransferIsNotCountedTwice() public {
        NestingCollector nesting = new NestingCollector();
        vm.prank(spender);
        token.approve(address(nesting), 1e18);
        vm.expectRevert(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        settlement.deposit(config, 1e18, address(nesting), abi.encode(channel("inner")));
    }

    function test_AReentrantTokenGetsNothingMore() public {
        ReentrantToken hostile = new ReentrantToken();
        AllowanceCollector collector = new AllowanceCollector();
        hostile.transfer(spender, 10);
        vm.prank(spender);
        hostile.approve(address(collector), 10);
        config.token = address(hostile);
        settlement.deposit(config, 10, address(collector), "");
        IBatchSettlement.VoucherClaim[] memory batch = claims(voucher(config, 6, 6));
        vm.prank(operator);
        settlement.claim(batch);

        hostile.arm(SETTLEMENT, abi.encodeCall(settlement.settle, (payout, address(hostile))));
        settlement.settle(payout, address(hostile));
        vm.assertFalse(hostile.succeeded());
        vm.assertEq(
            hostile.failure(), abi.encodeWithSelector(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector)
        );
        vm.assertEq(hostile.balanceOf(payout), 6);
        vm.assertEq(hostile.balanceOf(SETTLEMENT), 4);
    }
}
