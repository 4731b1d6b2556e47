// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Token} from "./support/Deployed.sol";
import {bound, signed, signedHigh, vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

contract DepinTokenTest is World {
    bytes32 private constant NONCE = keccak256("nonce");

    function transferHash(string memory kind, address to, uint256 value, uint256 validAfter, uint256 validBefore)
        private
        view
        returns (bytes32)
    {
        bytes32 typeHash = keccak256(
            bytes.concat(
                bytes(kind),
                "(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
            )
        );
        bytes32 structHash = keccak256(abi.encode(typeHash, customer, to, value, validAfter, validBefore, NONCE));
        return digest(domainOf("DePIN Token", address(token)), structHash);
    }

    function test_HasItsNameAndItsFirstSupply() public view {
        vm.assertEq(token.name(), "DePIN Token");
        vm.assertEq(token.symbol(), "DPN");
        vm.assertEq(token.decimals(), 18);
        vm.assertEq(token.totalSupply(), FIRST_SUPPLY);
    }

    function test_CannotExistAboveTheCap() public {
        vm.expectRevert(abi.encodeWithSelector(Token.CapExceeded.selector, 1e27 + 1, 1e27));
        vm.deployCode("DepinToken.sol:DepinToken", abi.encode(address(this), 1e27 + 1, beneficiary));
    }

    function test_PermitGivesAnAllowanceOnce() public {
        bytes32 typeHash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        uint256 deadline = block.timestamp + 1;
        bytes32 structHash = keccak256(abi.encode(typeHash, customer, stranger, 5, 0, deadline));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(CUSTOMER_KEY, digest(token.DOMAIN_SEPARATOR(), structHash));
        token.permit(customer, stranger, 5, deadline, v, r, s);
        vm.assertEq(token.allowance(customer, stranger), 5);
        vm.expectPartialRevert(ERC20Permit.ERC2612InvalidSigner.selector);
        token.permit(customer, stranger, 5, deadline, v, r, s);
    }

    function testFuzz_AnyoneMaySendATransferAuthorizationOnce(uint256 value) public {
        value = bound(value, 0, token.balanceOf(customer));
        bytes32 hash = transferHash("TransferWithAuthorization", stranger, value, 0, block.timestamp + 1);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(CUSTOMER_KEY, hash);
        token.transferWithAuthorization(customer, stranger, value, 0, block.timestamp + 1, NONCE, v, r, s);
        vm.assertEq(token.balanceOf(stranger), value);
        vm.assertTrue(token.authorizationState(customer, NONCE));

        vm.expectRevert(abi.encodeWithSelector(ERC3009.ERC3009UsedAuthorization.selector, customer, NONCE));
        token.transferWithAuthorization(
            customer, stranger, value, 0, block.timestamp + 1, NONCE, signed(CUSTOMER_KEY, hash)
        );
    }

    function test_OnlyTheRecipientMayUseAReceiveAuthorization() public {
        bytes32 hash = transferHash("ReceiveWithAuthorization", payout, 7, 0, block.timestamp + 1);
        bytes memory signature = signed(CUSTOMER_KEY, hash);
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InvalidReceiver.selector, payout));
        token.receiveWithAuthorization(customer, payout, 7, 0, block.timestamp + 1, NONCE, signature);

        vm.prank(payout);
        token.receiveWithAuthorization(customer, payout, 7, 0, block.timestamp + 1, NONCE, signature);
        vm.assertEq(token.balanceOf(payout), 7);
    }

    function test_AnAuthorizationHasItsTime() public {
        bytes32 hash = transferHash("TransferWithAuthorization", stranger, 1, START, START + 10);
        bytes memory signature = signed(CUSTOMER_KEY, hash);
        for (uint256 i = 0; i < 2; ++i) {
            vm.warp(i == 0 ? START : START + 10); // exclusive at both ends
            vm.expectRevert(abi.encodeWithSelector(ERC3009.ERC3009InvalidAuthorizationTime.selector, START, START + 10));
            token.transferWithAuthorization(customer, stranger, 1, START, START + 10, NONCE, signature);
        }
        vm.warp(START + 9);
        token.transferWithAuthorization(customer, stranger, 1, START, START + 10, NONCE, signature);
    }

    function test_ACancelledAuthorizationIsWorthless() public {
        bytes32 structHash =
            keccak256(abi.encode(keccak256("CancelAuthorization(address authorizer,bytes32 nonce)"), customer, NONCE));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(CUSTOMER_KEY, digest(token.DOMAIN_SEPARATOR(), structHash));
        token.cancelAuthorization(customer, NONCE, v, r, s);

        bytes32 hash = transferHash("TransferWithAuthorization", stranger, 1, 0, block.timestamp + 1);
        vm.expectRevert(abi.encodeWithSelector(ERC3009.ERC3009UsedAuthorization.selector, customer, NONCE));
        token.transferWithAuthorization(
            customer, stranger, 1, 0, block.timestamp + 1, NONCE, signed(CUSTOMER_KEY, hash)
        );
    }

    function testFuzz_RefusesAnySignatureButTheHoldersOwn(uint256 key, uint256 value) public {
        key = bound(key, 1, 1e30);
        vm.assume(key != CUSTOMER_KEY);
        bytes32 hash = transferHash("TransferWithAuthorization", stranger, value, 0, block.timestamp + 1);
        vm.expectRevert(ERC3009.ERC3009InvalidSignature.selector);
        token.transferWithAuthorization(customer, stranger, value, 0, block.timestamp + 1, NONCE, signed(key, hash));
    }

    function test_RefusesMalleatedSignatures() public {
        bytes32 hash = transferHash("TransferWithAuthorization", stranger, 1, 0, block.timestamp + 1);
        bytes memory good = signed(CUSTOMER_KEY, hash);
        bytes memory lowV = bytes.concat(good);
        lowV[64] = bytes1(uint8(good[64]) - 27);
        bytes[3] memory bad = [signedHigh(CUSTOMER_KEY, hash), lowV, bytes.concat(good, hex"00")];
        for (uint256 i = 0; i < bad.length; ++i) {
            vm.expectRevert(ERC3009.ERC3009InvalidSignature.selector);
            token.transferWithAuthorization(customer, stranger, 1, 0, block.timestamp + 1, NONCE, bad[i]);
        }
    }
}
