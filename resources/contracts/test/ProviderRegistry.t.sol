// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Registry} from "./support/Deployed.sol";
import {IProviderRegistry} from "../src/interfaces/IProviderRegistry.sol";
import {ExactTransfer} from "../src/libraries/ExactTransfer.sol";
import {FeeToken} from "./support/Hostile.sol";
import {bound, vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

contract ProviderRegistryTest is World {
    uint128 private constant STAKE = 10 * MIN_STAKE; // of `provider`

    function setUp() public override {
        super.setUp();
        token.transfer(provider, 1_000e18);
        vm.prank(provider);
        token.approve(address(registry), 1_000e18);
    }

    function requestUnstake(uint128 amount) private {
        vm.prank(provider);
        registry.requestUnstake(amount);
    }

    function unstake() private {
        vm.prank(provider);
        registry.unstake();
    }

    function slash(uint128 amount) private returns (uint128) {
        vm.prank(address(deals));
        return registry.slash(provider, amount, stranger);
    }

    // --- who is who ---

    function test_AProviderIsFoundByOwnerOperatorAndNode() public view {
        IProviderRegistry.Provider memory p = registry.provider(provider);
        vm.assertEq(p.operator, operator);
        vm.assertEq(p.payout, payout);
        vm.assertEq(p.nodeId, bytes32("node"));
        vm.assertEq(p.stake, STAKE);
        vm.assertEq(p.registeredAt, START);
        vm.assertEq(registry.ownerOfOperator(operator), provider);
        vm.assertEq(registry.ownerOfNode("node"), provider);
        vm.assertTrue(registry.isActive(provider));
        vm.assertFalse(registry.isActive(stranger));
    }

    function test_ProvidersAreEnumeratedInPages() public {
        enrol(address(1), address(11), payout, "one", MIN_STAKE);
        enrol(address(2), address(12), payout, "two", MIN_STAKE);
        vm.assertEq(registry.count(), 3);
        vm.assertEq(registry.owners(0, 2).length, 2);
        vm.assertEq(registry.owners(2, 9)[0], address(2));
        vm.assertEq(registry.owners(3, 9).length, 0);
        vm.assertEq(registry.owners(1, type(uint256).max).length, 2);
    }

    function test_NobodyTakesAnothersPlace() public {
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.AlreadyRegistered.selector, provider));
        registry.register(address(1), payout, "other", MIN_STAKE);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.OperatorTaken.selector, operator));
        registry.register(operator, payout, "other", MIN_STAKE);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.NodeTaken.selector, bytes32("node")));
        registry.register(address(1), payout, "node", MIN_STAKE);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.StakeTooSmall.selector, MIN_STAKE - 1, MIN_STAKE));
        registry.register(address(1), payout, "other", MIN_STAKE - 1);
    }

    function test_AChangedKeyFreesTheOldOne() public {
        vm.prank(provider);
        registry.setOperator(address(77));
        vm.assertEq(registry.ownerOfOperator(operator), address(0));
        vm.assertEq(registry.ownerOfOperator(address(77)), provider);
        vm.prank(provider);
        registry.setNode("new");
        vm.assertEq(registry.ownerOfNode("node"), address(0));
        vm.assertEq(registry.ownerOfNode("new"), provider);
        vm.prank(provider);
        registry.setPayout(address(78));
        vm.assertEq(registry.provider(provider).payout, address(78));
    }

    function test_TheOperatorCannotChangeAnything() public {
        bytes memory refusal = abi.encodeWithSelector(IProviderRegistry.NotRegistered.selector, operator);
        vm.prank(operator);
        vm.expectRevert(refusal);
        registry.setPayout(operator);
        vm.prank(operator);
        vm.expectRevert(refusal);
        registry.setOperator(address(5));
        vm.prank(operator);
        vm.expectRevert(refusal);
        registry.requestUnstake(1);
    }

    // --- leaving ---

    function test_StakeLeavesOnlyAfterTheThaw() public {
        requestUnstake(STAKE);
        vm.assertFalse(registry.isActive(provider));
        vm.warp(START + THAW - 1);
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.StillThawing.selector, START + THAW));
        registry.unstake();
        vm.warp(START + THAW);
        unstake();
        vm.assertEq(token.balanceOf(provider), 1_000e18 + STAKE);
        vm.assertEq(token.balanceOf(address(registry)), 0);
        vm.prank(provider);
        vm.expectRevert(IProviderRegistry.NothingThawing.selector);
        registry.unstake();
    }

    function test_WhatIsStakedDuringAThawDoesNotThaw() public {
        requestUnstake(STAKE);
        vm.prank(provider);
        registry.stake(500e18);
        vm.warp(START + THAW);
        unstake();
        vm.assertEq(registry.provider(provider).stake, 500e18);
        vm.prank(provider);
        vm.expectRevert(IProviderRegistry.NothingThawing.selector);
        registry.unstake();
    }

    function test_ASecondRequestNeitherDelaysNorHastensTheFirst() public {
        requestUnstake(100e18);
        vm.warp(START + 3 days);
        requestUnstake(200e18);
        vm.assertEq(registry.provider(provider).thawEnds, START + THAW);
        vm.warp(START + THAW);
        unstake();
        vm.assertEq(registry.provider(provider).stake, STAKE - 100e18);
        vm.assertEq(registry.provider(provider).thawEnds, START + 3 days + THAW);
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.StillThawing.selector, START + 3 days + THAW));
        registry.unstake();
    }

    function test_NobodyThawsMoreThanIsThere() public {
        requestUnstake(STAKE - 1);
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.StakeTooSmall.selector, 1, 2));
        registry.requestUnstake(2);
    }

    function test_RequestsAreBounded() public {
        for (uint256 i = 0; i < 16; ++i) {
            requestUnstake(1);
        }
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(Registry.TooManyThaws.selector, 16));
        registry.requestUnstake(1);
    }

    function test_AThawPeriodThatCouldWrapAroundIsRefused() public {
        vm.expectPartialRevert(Registry.BadThawPeriod.selector);
        vm.deployCode(
            "ProviderRegistry.sol:ProviderRegistry", abi.encode(address(token), 1, type(uint64).max, address(this))
        );
    }

    // --- slashing ---

    function testFuzz_ASlashIsCappedRewardedAndBurnt(uint128 amount) public {
        uint256 supply = token.totalSupply();
        uint128 taken = slash(amount);
        vm.assertEq(taken, amount < STAKE / 20 ? amount : STAKE / 20);
        vm.assertEq(token.balanceOf(stranger), taken / 5);
        vm.assertEq(token.totalSupply(), supply - (taken - taken / 5));
        vm.assertEq(registry.provider(provider).stake, STAKE - taken);
        vm.assertEq(token.balanceOf(address(registry)), STAKE - taken);
    }

    function test_ThawingStakeIsSlashedLastAndNewestFirst() public {
        requestUnstake(300e18);
        requestUnstake(STAKE - 310e18);
        uint128 taken = slash(type(uint128).max); // 50e18, of which 10e18 were not thawing
        vm.assertEq(taken, 50e18);
        vm.assertEq(registry.provider(provider).thawing, STAKE - 50e18);
        vm.assertEq(registry.thaws(provider)[0].amount, 300e18);
        vm.assertEq(registry.thaws(provider)[1].amount, STAKE - 350e18);
        vm.warp(START + THAW);
        unstake();
        vm.assertEq(registry.provider(provider).stake, 0);
        vm.assertEq(token.balanceOf(address(registry)), 0);
    }

    function test_ASlashMaySwallowWholeRequests() public {
        requestUnstake(STAKE - 5e18);
        requestUnstake(5e18);
        slash(type(uint128).max);
        vm.assertEq(registry.thaws(provider).length, 1);
        vm.assertEq(registry.thaws(provider)[0].amount, STAKE - 50e18);
    }

    function test_SlashingOneselfIsNoWayRoundTheThaw() public {
        vm.prank(address(deals));
        uint128 taken = registry.slash(provider, type(uint128).max, provider);
        vm.assertEq(token.balanceOf(provider), 1_000e18 + taken / 5);
        vm.assertEq(registry.provider(provider).stake, STAKE - taken);
    }

    function test_TheSlashesOfADayAreCappedTogether() public {
        for (uint256 i = 0; i < 10; ++i) {
            slash(type(uint128).max);
        }
        vm.assertEq(registry.provider(provider).stake, STAKE - STAKE / 5);
        vm.assertEq(slash(1), 0);
        vm.warp(START + 1 days - 1);
        vm.assertEq(slash(1), 0);
        vm.warp(START + 1 days); // the next day is judged by the stake that is left
        uint128 left = STAKE - STAKE / 5;
        vm.assertEq(slash(type(uint128).max), left / 20);
        for (uint256 i = 0; i < 10; ++i) {
            slash(type(uint128).max);
        }
        vm.assertEq(registry.provider(provider).stake, left - left / 5);
    }

    function test_StakingMoreRaisesNoCapOfTheDayThatRuns() public {
        slash(type(uint128).max);
        vm.prank(provider);
        registry.stake(1_000e18);
        uint128 before = registry.provider(provider).stake;
        for (uint256 i = 0; i < 10; ++i) {
            slash(type(uint128).max);
        }
        vm.assertEq(before - registry.provider(provider).stake, STAKE / 5 - STAKE / 20);
    }

    function test_ANewSlasherWaitsUntilWhoeverDistrustsItCouldLeave() public {
        address module = address(0x5A5);
        vm.expectEmit(address(registry));
        emit Registry.SlasherSet(module, uint64(START + 2 * THAW));
        registry.setSlasher(module, true);
        vm.warp(START + 1 days);
        registry.setSlasher(module, true); // saying it again neither hastens nor delays it
        vm.assertEq(registry.slasherFrom(module), START + 2 * THAW);
        requestUnstake(STAKE);
        vm.warp(START + 2 * THAW - 1);
        vm.prank(module);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.NotSlasher.selector, module));
        registry.slash(provider, 1, stranger);
        unstake();
        vm.warp(START + 2 * THAW);
        vm.prank(module);
        vm.assertEq(registry.slash(provider, type(uint128).max, stranger), 0);
        vm.assertEq(token.balanceOf(provider), 1_000e18 + STAKE);
    }

    function test_OnlyNamedModulesSlashAndOnlyTheAdminNamesThem() public {
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.NotSlasher.selector, address(this)));
        registry.slash(provider, 1, stranger);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(Registry.NotAdmin.selector, stranger));
        registry.setSlasher(stranger, true);

        registry.setSlasher(address(deals), false);
        vm.prank(address(deals));
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.NotSlasher.selector, address(deals)));
        registry.slash(provider, 1, stranger);
    }

    function test_TheAdminIsHandedOverInTwoSteps() public {
        registry.proposeAdmin(stranger);
        vm.expectRevert(abi.encodeWithSelector(Registry.NotAdmin.selector, address(this)));
        registry.acceptAdmin();
        vm.prank(stranger);
        registry.acceptAdmin();
        vm.expectRevert(abi.encodeWithSelector(Registry.NotAdmin.selector, address(this)));
        registry.setSlasher(address(1), true);
    }

    // --- hostile tokens ---

    function test_ATokenThatTakesAFeeIsRefused() public {
        FeeToken fee = new FeeToken();
        Registry other = Registry(
            vm.deployCode("ProviderRegistry.sol:ProviderRegistry", abi.encode(address(fee), 100, THAW, address(this)))
        );
        fee.approve(address(other), 1_000);
        vm.expectRevert(abi.encodeWithSelector(ExactTransfer.InexactTransfer.selector, 1_000, 990));
        other.register(address(1), payout, "other", 1_000);
    }
}
