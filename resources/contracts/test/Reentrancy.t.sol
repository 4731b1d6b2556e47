// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Deals, Registry} from "./support/Deployed.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IProviderRegistry} from "../src/interfaces/IProviderRegistry.sol";
import {IStorageDeals} from "../src/interfaces/IStorageDeals.sol";
import {Attacker, HookedToken} from "./support/Reentrant.sol";
import {Trees} from "./support/Trees.sol";
import {vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// Registry and deals over a token that calls back. Our own token has no hooks: this is for a network that is founded
/// on another one.
contract ReentrancyTest is World {
    uint128 private constant STAKE = 1_000e18;

    HookedToken private hooked;
    Attacker private attacker; // owner and payout of a provider

    function setUp() public override {
        super.setUp();
        hooked = new HookedToken();
        attacker = new Attacker();
        registry = Registry(
            vm.deployCode(
                "ProviderRegistry.sol:ProviderRegistry", abi.encode(address(hooked), MIN_STAKE, THAW, address(this))
            )
        );
        deals = Deals(
            vm.deployCode(
                "StorageDeals.sol:StorageDeals",
                abi.encode(address(hooked), address(registry), uint64(START), PERIOD, WINDOW, address(0))
            )
        );
        registry.setSlasher(address(deals), true);
        hooked.transfer(customer, 1e24);
        hooked.transfer(address(attacker), 10 * STAKE);
        asAttacker(address(hooked), abi.encodeCall(IERC20.approve, (address(registry), type(uint256).max)));
        provider = address(attacker);
        asAttacker(
            address(registry), abi.encodeCall(registry.register, (operator, provider, bytes32("node"), STAKE))
        );
    }

    function asAttacker(address target, bytes memory call_) private {
        attacker.run(target, call_);
    }

    /// The attacker does `first`, and again `call_` in the middle of each transfer that follows.
    function reenter(address target, bytes memory call_) private {
        attacker.arm(target, call_);
        hooked.setHook(address(attacker));
    }

    function test_UnstakingTwiceAtOnceTakesTheStakeOnce() public {
        asAttacker(address(registry), abi.encodeCall(registry.requestUnstake, (STAKE)));
        vm.warp(START + THAW);
        reenter(address(registry), abi.encodeCall(registry.unstake, ()));
        uint256 before = hooked.balanceOf(provider);
        asAttacker(address(registry), abi.encodeCall(registry.unstake, ()));
        vm.assertEq(attacker.attempts(), 1);
        vm.assertEq(attacker.successes(), 0);
        vm.assertEq(attacker.failure(), abi.encodeWithSelector(IProviderRegistry.NothingThawing.selector));
        vm.assertEq(hooked.balanceOf(provider) - before, STAKE);
        vm.assertEq(hooked.balanceOf(address(registry)), 0);
    }

    function test_AStakeCannotBeCountedTwiceFromWithinItsTransfer() public {
        reenter(address(registry), abi.encodeCall(registry.stake, (STAKE)));
        // The nested stake changes the balance between the two readings: the outer one no longer fits.
        vm.expectRevert();
        asAttacker(address(registry), abi.encodeCall(registry.stake, (STAKE)));
        vm.assertEq(registry.provider(provider).stake, STAKE);
        vm.assertEq(hooked.balanceOf(address(registry)), STAKE);
    }

    function test_ASlashIsOverBeforeItsRewardLeaves() public {
        reenter(address(registry), abi.encodeCall(registry.requestUnstake, (STAKE)));
        vm.prank(address(deals));
        uint128 taken = registry.slash(provider, type(uint128).max, address(attacker));
        vm.assertEq(attacker.successes(), 0); // the stake was lower already
        vm.assertEq(registry.provider(provider).stake, STAKE - taken);
        vm.assertEq(hooked.balanceOf(address(registry)), STAKE - taken);
    }

    function test_SettlingTwiceAtOncePaysOnce() public {
        uint128 earned = provenSet();
        reenter(address(deals), abi.encodeCall(deals.settle, (provider)));
        uint256 before = hooked.balanceOf(provider);
        deals.settle(provider);
        vm.assertEq(attacker.attempts(), 1);
        vm.assertEq(attacker.successes(), 0);
        vm.assertEq(
            attacker.failure(), abi.encodeWithSelector(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector)
        );
        vm.assertEq(hooked.balanceOf(provider) - before, earned);
    }

    function test_FundingFromWithinFundingIsRefused() public {
        bytes32 setId = openSet(1e9, "set");
        reenter(address(deals), abi.encodeCall(deals.fund, (setId, 5, 0, START + 1 hours, "again", "")));
        deals.fund(setId, 7, 0, START + 1 hours, "first", "");
        vm.assertEq(attacker.successes(), 0);
        vm.assertEq(deals.dataSet(setId).escrow, 7);
        vm.assertEq(hooked.balanceOf(address(deals)), 7);
    }

    function provenSet() private returns (uint128) {
        bytes32 setId = openSet(1e9, "set");
        deals.fund(setId, 1e18, 0, START + 1 hours, "fund", "");
        IStorageDeals.Piece[] memory pieces = new IStorageDeals.Piece[](1);
        pieces[0] = Trees.piece(0, 1);
        addPieces(setId, pieces);
        toNextPeriod();
        toWindow();
        deals.poke();
        prove(setId, Trees.proof(0, 1, 0));
        return deals.owed(provider);
    }
}
