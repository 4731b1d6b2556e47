// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Token} from "./support/Deployed.sol";
import {bound, vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

contract EmissionTest is World {
    uint256 private constant RESERVE = 600_000_000e18;
    uint256 private constant YEAR = 365 days;

    function after_(uint256 time) private view returns (uint256) {
        return token.scheduledBy(START + time);
    }

    function test_NothingIsEmittedAtTheStart() public {
        vm.assertEq(token.RESERVE(), RESERVE);
        vm.assertEq(after_(0), 0);
        vm.assertEq(token.scheduledBy(0), 0);
        vm.expectRevert(Token.NothingToEmit.selector);
        token.emitDue();
    }

    /// The table of docs/contracts.md.
    function test_TheScheduleIsTheOneThatIsWrittenDown() public view {
        vm.assertEq(after_(YEAR), 90_000_000e18);
        vm.assertEq(after_(YEAR / 2), 45_000_000e18); // even within a year
        vm.assertEq(after_(2 * YEAR), 166_500_000e18);
        vm.assertEq(after_(5 * YEAR) / 1e18, 333_776_812);
        vm.assertEq(after_(10 * YEAR) / 1e18, 481_875_357);
        vm.assertEq(after_(20 * YEAR) / 1e18, 576_744_281);
        vm.assertEq(after_(64 * YEAR) / 1e18, 599_981_762);
        vm.assertEq(after_(65 * YEAR), after_(64 * YEAR)); // then it ends
        vm.assertEq(token.scheduledBy(type(uint256).max), after_(64 * YEAR));
    }

    function testFuzz_TheScheduleNeverFallsNorExceedsTheReserve(uint256 time, uint256 later) public view {
        time = bound(time, 0, 100 * YEAR);
        later = bound(later, time, 100 * YEAR);
        vm.assertLe(after_(time), after_(later));
        vm.assertLe(after_(later), RESERVE);
        // Within any year no more than the first year's rate.
        vm.assertLe(after_(later) - after_(time), (later - time) * 90_000_000e18 / YEAR + 1);
    }

    function testFuzz_HoweverOftenItIsCalledItGivesWhatTheScheduleSays(uint256 seed) public {
        uint256 time = START;
        for (uint256 i = 0; i < 8; ++i) {
            time += bound(uint256(keccak256(abi.encode(seed, i))), 1, 3 * YEAR);
            vm.warp(time);
            vm.prank(stranger);
            token.emitDue();
            vm.assertEq(token.balanceOf(beneficiary), token.scheduledBy(time));
            vm.assertEq(token.emitted(), token.scheduledBy(time));
            vm.expectRevert(Token.NothingToEmit.selector);
            token.emitDue();
        }
        vm.assertLe(token.totalSupply(), token.CAP());
    }

    function test_WhatIsBurntIsNotMintedAgain() public {
        token.burn(token.balanceOf(address(this)));
        vm.warp(START + 1000 * YEAR);
        token.emitDue();
        vm.assertLe(token.emitted(), RESERVE);
        vm.expectRevert(Token.NothingToEmit.selector);
        token.emitDue();
    }

    function test_TheBeneficiaryIsHandedOverInTwoSteps() public {
        vm.expectRevert(abi.encodeWithSelector(Token.NotBeneficiary.selector, address(this)));
        token.proposeBeneficiary(address(this));
        vm.prank(beneficiary);
        token.proposeBeneficiary(stranger);
        vm.assertEq(token.beneficiary(), beneficiary);
        vm.expectRevert(abi.encodeWithSelector(Token.NotBeneficiary.selector, address(this)));
        token.acceptBeneficiary();
        vm.prank(stranger);
        token.acceptBeneficiary();
        vm.warp(START + 1 days);
        vm.expectEmit(address(token));
        emit Token.Emitted(stranger, token.scheduledBy(START + 1 days));
        token.emitDue();
        vm.assertEq(token.balanceOf(beneficiary), 0); // the old one
    }

    function test_WithoutAReserveNothingIsEverEmitted() public {
        Token full = Token(vm.deployCode("DepinToken.sol:DepinToken", abi.encode(address(this), 1e27, beneficiary)));
        vm.warp(START + 10 * YEAR);
        vm.expectRevert(Token.NothingToEmit.selector);
        full.emitDue();
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InvalidReceiver.selector, address(0)));
        vm.deployCode("DepinToken.sol:DepinToken", abi.encode(address(this), 1, address(0)));
    }
}
