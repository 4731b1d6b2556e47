// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Registry} from "./support/Deployed.sol";
import {IProviderRegistry} from "../src/interfaces/IProviderRegistry.sol";
import {FuzzSelector, bound, vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// Three providers staking, leaving and being slashed.
contract RegistryActors is World {
    address[3] public owners = [address(0xA1), address(0xA2), address(0xA3)];
    uint256 public burnt;

    struct Request {
        uint128 amount;
        uint256 time;
    }

    mapping(address owner => Request[]) private _requests;
    mapping(address owner => uint256) public withdrawn;

    function setUp() public override {
        super.setUp();
        for (uint256 i = 0; i < 3; ++i) {
            enrol(owners[i], address(uint160(0xB1 + i)), payout, bytes32(i + 1), MIN_STAKE * uint128(i + 1));
            vm.prank(owners[i]);
            token.approve(address(registry), type(uint256).max);
        }
    }

    function doStake(uint256 i, uint128 amount) external {
        address owner = owners[i % 3];
        amount = uint128(bound(amount, 1, 1_000e18));
        token.transfer(owner, amount);
        vm.prank(owner);
        registry.stake(amount);
    }

    function doRequest(uint256 i, uint128 amount) external {
        address owner = owners[i % 3];
        IProviderRegistry.Provider memory p = registry.provider(owner);
        if (p.stake == p.thawing || registry.thaws(owner).length == 16) return;
        amount = uint128(bound(amount, 1, p.stake - p.thawing));
        vm.prank(owner);
        registry.requestUnstake(amount);
        _requests[owner].push(Request(amount, block.timestamp));
    }

    function doUnstake(uint256 i) external {
        address owner = owners[i % 3];
        uint64 ends = registry.provider(owner).thawEnds;
        uint256 before = token.balanceOf(owner);
        vm.prank(owner);
        if (ends == 0 || ends > block.timestamp) vm.expectRevert();
        registry.unstake();
        withdrawn[owner] += token.balanceOf(owner) - before;
    }

    function doSlash(uint256 i, uint128 amount) external {
        vm.prank(address(deals));
        burnt += registry.slash(owners[i % 3], amount, stranger);
    }

    function doWait(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 1, 4 days));
    }

    /// All that `owner` asked for at least a whole thaw ago.
    function ripe(address owner) external view returns (uint256 amount) {
        for (uint256 i = 0; i < _requests[owner].length; ++i) {
            if (_requests[owner][i].time + THAW <= block.timestamp) amount += _requests[owner][i].amount;
        }
    }

    function held() external view returns (uint256) {
        return token.balanceOf(address(registry));
    }

    function stakeOfTheFirst() external view returns (uint256) {
        return registry.provider(provider).stake;
    }

    function stateOf(uint256 i)
        external
        view
        returns (IProviderRegistry.Provider memory state, Registry.Thaw[] memory thaws)
    {
        return (registry.provider(owners[i]), registry.thaws(owners[i]));
    }
}

contract RegistryInvariantTest {
    RegistryActors private actors;

    function setUp() public {
        actors = RegistryActors(vm.deployCode("RegistryInvariant.t.sol:RegistryActors"));
        actors.setUp();
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        bytes4[] memory selectors = new bytes4[](5);
        selectors[0] = actors.doStake.selector;
        selectors[1] = actors.doRequest.selector;
        selectors[2] = actors.doUnstake.selector;
        selectors[3] = actors.doSlash.selector;
        selectors[4] = actors.doWait.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(actors), selectors);
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actors);
    }

    function invariant_TokensHeldAreTheStakes() public view {
        uint256 sum = actors.stakeOfTheFirst();
        for (uint256 i = 0; i < 3; ++i) {
            (IProviderRegistry.Provider memory p,) = actors.stateOf(i);
            sum += p.stake;
        }
        vm.assertEq(actors.held(), sum);
    }

    function invariant_StakeCoversWhatThaws() public view {
        for (uint256 i = 0; i < 3; ++i) {
            (IProviderRegistry.Provider memory p, Registry.Thaw[] memory thaws) = actors.stateOf(i);
            uint256 sum = 0;
            for (uint256 j = 0; j < thaws.length; ++j) {
                sum += thaws[j].amount;
                if (j != 0) vm.assertGe(thaws[j].ends, thaws[j - 1].ends);
            }
            vm.assertEq(p.thawing, sum);
            vm.assertLe(p.thawing, p.stake);
        }
    }

    function invariant_NothingLeavesBeforeItsThaw() public view {
        for (uint256 i = 0; i < 3; ++i) {
            address owner = actors.owners(i);
            vm.assertLe(actors.withdrawn(owner), actors.ripe(owner));
        }
    }
}
