// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IBatchSettlement} from "../src/interfaces/IBatchSettlement.sol";
import {FuzzSelector, bound, vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// Both sides of four channels, doing whatever they may in any order.
contract SettlementActors is World {
    uint256 public constant CHANNELS = 4;
    uint256 private _salt;
    uint128[CHANNELS] public signed; // the highest voucher that exists, by channel
    uint128[CHANNELS] public deposited;
    uint128[CHANNELS] public returned; // to the payer

    function configOf(uint256 i) public view returns (IBatchSettlement.ChannelConfig memory config) {
        config = channel(bytes32(i));
        if (i % 2 == 1) config.receiver = stranger;
    }

    function idOf(uint256 i) public view returns (bytes32) {
        return settlement.getChannelId(configOf(i));
    }

    function doDeposit(uint256 i, uint128 amount) external {
        i %= CHANNELS;
        amount = uint128(bound(amount, 1, 1_000e18));
        deposit(configOf(i), amount, ++_salt);
        deposited[i] += amount;
    }

    function doClaim(uint256 i, uint128 ceiling, uint128 total) external {
        i %= CHANNELS;
        (uint128 balance, uint128 claimed) = settlement.channels(idOf(i));
        ceiling = uint128(bound(ceiling, 0, uint256(balance) * 2));
        total = uint128(bound(total, 0, uint256(ceiling) + 1));
        bool valid = total <= claimed || (total <= ceiling && total <= balance);
        IBatchSettlement.VoucherClaim[] memory batch = claims(voucher(configOf(i), ceiling, total));
        if (ceiling > signed[i]) signed[i] = ceiling;
        vm.prank(operator);
        if (!valid) vm.expectRevert();
        settlement.claim(batch);
    }

    function doSettle(bool first) external {
        address receiver = first ? payout : stranger;
        (uint128 claimed, uint128 settled) = settlement.receivers(receiver, address(token));
        uint256 before = token.balanceOf(receiver);
        settlement.settle(receiver, address(token));
        vm.assertEq(token.balanceOf(receiver) - before, claimed - settled);
    }

    function doRefund(uint256 i, uint128 amount) external {
        i %= CHANNELS;
        (uint128 balance, uint128 claimed) = settlement.channels(idOf(i));
        if (amount == 0 || balance == claimed) return;
        uint256 before = token.balanceOf(spender);
        IBatchSettlement.ChannelConfig memory config = configOf(i);
        vm.prank(operator);
        settlement.refund(config, amount);
        returned[i] += uint128(token.balanceOf(spender) - before);
    }

    function doInitiateWithdraw(uint256 i, uint128 amount) external {
        i %= CHANNELS;
        (uint128 balance, uint128 claimed) = settlement.channels(idOf(i));
        if (balance == claimed) return;
        amount = uint128(bound(amount, 1, balance - claimed));
        IBatchSettlement.ChannelConfig memory config = configOf(i);
        (, uint40 since) = settlement.pendingWithdrawals(idOf(i));
        vm.prank(spender);
        if (since != 0) vm.expectRevert(IBatchSettlement.WithdrawalAlreadyPending.selector);
        settlement.initiateWithdraw(config, amount);
    }

    function doFinalizeWithdraw(uint256 i) external {
        i %= CHANNELS;
        IBatchSettlement.ChannelConfig memory config = configOf(i);
        (, uint40 since) = settlement.pendingWithdrawals(idOf(i));
        bool ready = since != 0 && block.timestamp >= since + config.withdrawDelay;
        uint256 before = token.balanceOf(spender);
        vm.prank(spender);
        if (!ready) vm.expectRevert();
        settlement.finalizeWithdraw(config);
        returned[i] += uint128(token.balanceOf(spender) - before);
    }

    function doWait(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 1, 1 hours));
    }

    /// Tokens in BatchSettlement, and what it owes by its own books.
    function books() external view returns (uint256 held, uint256 due) {
        held = token.balanceOf(SETTLEMENT);
        for (uint256 i = 0; i < CHANNELS; ++i) {
            (uint128 balance, uint128 claimed) = settlement.channels(idOf(i));
            due += balance - claimed;
        }
        address[2] memory receivers = [payout, stranger];
        for (uint256 i = 0; i < 2; ++i) {
            (uint128 claimed, uint128 settled) = settlement.receivers(receivers[i], address(token));
            due += claimed - settled;
        }
    }

    function stateOf(uint256 i) external view returns (uint128 balance, uint128 claimed) {
        return settlement.channels(idOf(i));
    }
}

contract SettlementInvariantTest {
    SettlementActors private actors;

    function setUp() public {
        actors = SettlementActors(vm.deployCode("SettlementInvariant.t.sol:SettlementActors"));
        actors.setUp();
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        bytes4[] memory selectors = new bytes4[](7);
        selectors[0] = actors.doDeposit.selector;
        selectors[1] = actors.doClaim.selector;
        selectors[2] = actors.doSettle.selector;
        selectors[3] = actors.doRefund.selector;
        selectors[4] = actors.doInitiateWithdraw.selector;
        selectors[5] = actors.doFinalizeWithdraw.selector;
        selectors[6] = actors.doWait.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(actors), selectors);
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actors);
    }

    function invariant_TokensHeldAreTokensOwed() public view {
        (uint256 held, uint256 due) = actors.books();
        vm.assertEq(held, due);
    }

    function invariant_NobodyGetsMoreThanTheirs() public view {
        for (uint256 i = 0; i < actors.CHANNELS(); ++i) {
            (uint128 balance, uint128 claimed) = actors.stateOf(i);
            vm.assertLe(claimed, balance);
            vm.assertLe(claimed, actors.signed(i), "claimed beyond the vouchers");
            vm.assertEq(balance, actors.deposited(i) - actors.returned(i));
        }
    }
}
