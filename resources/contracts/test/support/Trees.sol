// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IStorageDeals} from "../../src/interfaces/IStorageDeals.sol";

/// Merkle trees of test pieces, written for clarity and independently of the contract's verifier.
library Trees {
    /// Leaf `index` of the piece with number `salt`: 256 reproducible bytes.
    function leaf(uint256 salt, uint256 index) internal pure returns (bytes memory data) {
        for (uint256 i = 0; i < 8; ++i) {
            data = bytes.concat(data, keccak256(abi.encode(salt, index, i)));
        }
    }

    function depth(uint256 leaves) internal pure returns (uint256 levels) {
        while (2 ** levels < leaves) ++levels;
    }

    // --- whole trees, for small pieces ---

    function node(uint256 salt, uint256 leaves, uint256 level, uint256 index) internal pure returns (bytes32) {
        if (level == 0) return index < leaves ? sha256(leaf(salt, index)) : bytes32(0);
        return
            sha256(abi.encode(node(salt, leaves, level - 1, 2 * index), node(salt, leaves, level - 1, 2 * index + 1)));
    }

    function piece(uint256 salt, uint256 leaves) internal pure returns (IStorageDeals.Piece memory) {
        return IStorageDeals.Piece(node(salt, leaves, depth(leaves), 0), uint64(leaves));
    }

    function proof(uint256 salt, uint256 leaves, uint256 index) internal pure returns (bytes memory data) {
        data = leaf(salt, index);
        for (uint256 level = 0; level < depth(leaves); ++level) {
            data = bytes.concat(data, node(salt, leaves, level, (index >> level) ^ 1));
        }
    }

    // --- partial trees, for pieces of gigabytes: only the subtrees above `targets` are real ---

    function partialNode(uint256 salt, uint256[] memory targets, uint256 level, uint256 index)
        internal
        pure
        returns (bytes32)
    {
        bool real = false;
        for (uint256 i = 0; i < targets.length; ++i) {
            if (targets[i] >> level == index) real = true;
        }
        if (!real) return keccak256(abi.encode("stand-in", salt, level, index));
        if (level == 0) return sha256(leaf(salt, index));
        return sha256(
            abi.encode(
                partialNode(salt, targets, level - 1, 2 * index), partialNode(salt, targets, level - 1, 2 * index + 1)
            )
        );
    }

    function partialPiece(uint256 salt, uint256[] memory targets, uint256 leaves)
        internal
        pure
        returns (IStorageDeals.Piece memory)
    {
        return IStorageDeals.Piece(partialNode(salt, targets, depth(leaves), 0), uint64(leaves));
    }

    function partialProof(uint256 salt, uint256[] memory targets, uint256 leaves, uint256 index)
        internal
        pure
        returns (bytes memory data)
    {
        data = leaf(salt, index);
        for (uint256 level = 0; level < depth(leaves); ++level) {
            data = bytes.concat(data, partialNode(salt, targets, level, (index >> level) ^ 1));
        }
    }
}
