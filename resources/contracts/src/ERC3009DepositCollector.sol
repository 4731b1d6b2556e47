// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IDepositCollector} from "./interfaces/IDepositCollector.sol";
import {IERC3009Bytes} from "./interfaces/IERC3009Bytes.sol";

/// Moves a payer's deposit into BatchSettlement by an ERC-3009 authorisation, so that the payer needs no gas.
/// The authorisation's nonce names the channel: it can be spent for that channel and nothing else.
///
/// Has no constructor and no immutables: a genesis file places its code at a fixed address.
contract ERC3009DepositCollector is IDepositCollector {
    /// Where x402's clients expect BatchSettlement. Were anybody allowed to call, anybody could collect.
    address public constant SETTLEMENT = 0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003;

    error OnlySettlement(address caller);

    /// `data` is abi.encode(uint256 validAfter, uint256 validBefore, uint256 salt, bytes signature).
    function collect(address payer, address token, uint256 amount, bytes32 channelId, bytes calldata data) external {
        if (msg.sender != SETTLEMENT) revert OnlySettlement(msg.sender);
        (uint256 validAfter, uint256 validBefore, uint256 salt, bytes memory signature) =
            abi.decode(data, (uint256, uint256, uint256, bytes));
        bytes32 nonce = keccak256(abi.encode(channelId, salt));
        IERC3009Bytes(token)
            .receiveWithAuthorization(payer, address(this), amount, validAfter, validBefore, nonce, signature);
        SafeERC20.safeTransfer(IERC20(token), SETTLEMENT, amount);
    }
}
