// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// A way of moving a payer's tokens into BatchSettlement.
interface IDepositCollector {
    /// Must leave exactly `amount` of `token` with the caller, taken from `payer` with its consent.
    function collect(address payer, address token, uint256 amount, bytes32 channelId, bytes calldata data) external;
}
