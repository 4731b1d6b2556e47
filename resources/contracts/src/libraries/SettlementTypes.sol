// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IBatchSettlement} from "../interfaces/IBatchSettlement.sol";

/// EIP-712 digests of BatchSettlement, as x402's scheme `batch-settlement` defines them.
library SettlementTypes {
    bytes32 private constant DOMAIN =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant NAME = keccak256("x402 Batch Settlement");
    bytes32 private constant VERSION = keccak256("1");
    bytes32 private constant CHANNEL_CONFIG = keccak256(
        "ChannelConfig(address payer,address payerAuthorizer,address receiver,address receiverAuthorizer,address token,uint40 withdrawDelay,bytes32 salt)"
    );
    bytes32 private constant VOUCHER = keccak256("Voucher(bytes32 channelId,uint128 maxClaimableAmount)");
    bytes32 private constant REFUND = keccak256("Refund(bytes32 channelId,uint256 nonce,uint128 amount)");
    bytes32 private constant CLAIM_BATCH = keccak256(
        "ClaimBatch(ClaimEntry[] claims)ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)"
    );
    bytes32 private constant CLAIM_ENTRY =
        keccak256("ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)");

    /// Computed on each call: code placed by genesis has no constructor to remember it in.
    function domain() internal view returns (bytes32) {
        return keccak256(abi.encode(DOMAIN, NAME, VERSION, block.chainid, address(this)));
    }

    /// A channel's id is the full digest of its config, so it is bound to the chain and the contract.
    function channelId(bytes32 domain_, IBatchSettlement.ChannelConfig calldata config)
        internal
        pure
        returns (bytes32)
    {
        return _digest(domain_, keccak256(abi.encode(CHANNEL_CONFIG, config)));
    }

    function channelIds(bytes32 domain_, IBatchSettlement.VoucherClaim[] calldata claims)
        internal
        pure
        returns (bytes32[] memory ids)
    {
        ids = new bytes32[](claims.length);
        for (uint256 i = 0; i < claims.length; ++i) {
            ids[i] = channelId(domain_, claims[i].voucher.channel);
        }
    }

    function voucherDigest(bytes32 domain_, bytes32 id, uint128 maxClaimableAmount) internal pure returns (bytes32) {
        return _digest(domain_, keccak256(abi.encode(VOUCHER, id, maxClaimableAmount)));
    }

    function refundDigest(bytes32 domain_, bytes32 id, uint256 nonce, uint128 amount) internal pure returns (bytes32) {
        return _digest(domain_, keccak256(abi.encode(REFUND, id, nonce, amount)));
    }

    function claimBatchDigest(
        bytes32 domain_,
        IBatchSettlement.VoucherClaim[] calldata claims,
        bytes32[] memory ids
    ) internal pure returns (bytes32) {
        bytes32[] memory entries = new bytes32[](claims.length);
        for (uint256 i = 0; i < claims.length; ++i) {
            IBatchSettlement.VoucherClaim calldata item = claims[i];
            entries[i] =
                keccak256(abi.encode(CLAIM_ENTRY, ids[i], item.voucher.maxClaimableAmount, item.totalClaimed));
        }
        return _digest(domain_, keccak256(abi.encode(CLAIM_BATCH, keccak256(abi.encodePacked(entries)))));
    }

    function _digest(bytes32 domain_, bytes32 structHash) private pure returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(domain_, structHash);
    }
}
