// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// What the token and the registry cost, base and calldata included; snapshots/*.json hold the figures.
contract GasMoneyTest is World {
    function test_Gas_transfer() public {
        token.transfer(stranger, 1e18);
        vm.snapshotGasLastCall("token", "transfer, new recipient");
        token.transfer(stranger, 1e18);
        vm.snapshotGasLastCall("token", "transfer, later");
    }

    function test_Gas_emitDue() public {
        vm.warp(START + 1 days);
        token.emitDue();
        vm.snapshotGasLastCall("token", "emitDue, first");
        vm.warp(START + 20 * 365 days);
        token.emitDue();
        vm.snapshotGasLastCall("token", "emitDue, in year 20");
    }

    function test_Gas_lifeOfAProvider() public {
        address owner = address(0x0A1);
        token.transfer(owner, 1_000e18);
        vm.prank(owner);
        token.approve(address(registry), type(uint256).max);
        vm.prank(owner);
        registry.register(address(0x0B1), owner, "gas", MIN_STAKE);
        vm.snapshotGasLastCall("registry", "register");
        vm.prank(owner);
        registry.describe(3, 0x851e15b7fffffff);
        vm.snapshotGasLastCall("registry", "describe");
        vm.prank(owner);
        registry.setOperator(address(0x0C1));
        vm.snapshotGasLastCall("registry", "setOperator");
        vm.prank(owner);
        registry.stake(MIN_STAKE);
        vm.snapshotGasLastCall("registry", "stake");
        vm.prank(owner);
        registry.requestUnstake(MIN_STAKE);
        vm.snapshotGasLastCall("registry", "requestUnstake");
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(address(deals));
            registry.slash(owner, 1e18, stranger);
            vm.snapshotGasLastCall("registry", i == 0 ? "slash, first of the day" : "slash, later");
        }
        vm.warp(START + THAW);
        vm.prank(owner);
        registry.unstake();
        vm.snapshotGasLastCall("registry", "unstake");
    }
}
