// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Emission} from "./Emission.sol";
import {IERC3009Bytes} from "./interfaces/IERC3009Bytes.sol";

/// The network's token: ERC-20 with permits (EIP-2612) and authorised transfers (ERC-3009), so that a customer
/// needs no gas. It comes into being by Emission's schedule alone, and slashing burns it.
contract DepinToken is ERC20Permit, ERC20Burnable, ERC3009, Emission, IERC3009Bytes {
    constructor(address firstHolder, uint256 firstAmount, address beneficiary)
        ERC20("DePIN Token", "DPN")
        ERC20Permit("DePIN Token")
        Emission(firstHolder, firstAmount, beneficiary)
    {}

    /// As ERC-3009's, with the signature as bytes, which lets a contract wallet (ERC-1271) authorise too.
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external {
        _checkAuthorization(
            from,
            keccak256(
                abi.encode(TRANSFER_WITH_AUTHORIZATION_TYPEHASH, from, to, value, validAfter, validBefore, nonce)
            ),
            signature
        );
        _transferWithAuthorization(from, to, value, validAfter, validBefore, nonce);
    }

    /// As ERC-3009's, with the signature as bytes. Only `to` may call, so nobody can separate the transfer from its use.
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external {
        if (to != msg.sender) revert ERC20InvalidReceiver(to);
        _checkAuthorization(
            from,
            keccak256(abi.encode(RECEIVE_WITH_AUTHORIZATION_TYPEHASH, from, to, value, validAfter, validBefore, nonce)),
            signature
        );
        _transferWithAuthorization(from, to, value, validAfter, validBefore, nonce);
    }

    function _checkAuthorization(address from, bytes32 structHash, bytes calldata signature) private view {
        if (!SignatureChecker.isValidSignatureNowCalldata(from, _hashTypedDataV4(structHash), signature)) {
            revert ERC3009InvalidSignature();
        }
    }
}
