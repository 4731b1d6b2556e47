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

    /// The opened leaves below a node, each with the siblings on its way up that nothing opened leads to.
    function shown(uint256 salt, uint256 leaves, uint256 level, uint256 index, uint64[] memory opened)
        private
        pure
        returns (bytes memory)
    {
        if (level == 0) return leaf(salt, index);
        (bool left, bool right) = (below(level - 1, 2 * index, opened), below(level - 1, 2 * index + 1, opened));
        return bytes.concat(
            left ? shown(salt, leaves, level - 1, 2 * index, opened) : bytes(""),
            right ? shown(salt, leaves, level - 1, 2 * index + 1, opened) : bytes(""),
            left ? bytes("") : abi.encode(node(salt, leaves, level - 1, 2 * index)),
            right ? bytes("") : abi.encode(node(salt, leaves, level - 1, 2 * index + 1))
        );
    }

    function below(uint256 level, uint256 index, uint64[] memory opened) private pure returns (bool) {
        for (uint256 i = 0; i < opened.length; ++i) {
            if (opened[i] >> level == index) return true;
        }
        return false;
    }

    /// What shows the `opened` leaves of one piece.
    function proof(uint256 salt, uint256 leaves, uint64[] memory opened) internal pure returns (bytes memory) {
        return shown(salt, leaves, depth(leaves), 0, opened);
    }

    function proof(uint256 salt, uint256 leaves, uint256 index) internal pure returns (bytes memory) {
        uint64[] memory opened = new uint64[](1);
        opened[0] = uint64(index);
        return proof(salt, leaves, opened);
    }

    /// The true answer to a data set's challenges, whose pieces' numbers are their ids and whose sizes are in leaves.
    function answer(uint64[] memory ids, uint64[] memory leaves, uint256[] memory sizes)
        internal
        pure
        returns (bytes memory data)
    {
        uint256 next;
        for (uint256 first = 0; first < ids.length; first = next) {
            for (next = first; next < ids.length && ids[next] == ids[first];) ++next;
            uint64[] memory opened = new uint64[](next - first);
            for (uint256 i = first; i < next; ++i) {
                opened[i - first] = leaves[i];
            }
            data = bytes.concat(data, proof(ids[first], sizes[ids[first]], opened));
        }
    }

    // --- partial trees, for pieces of gigabytes: only what lies above the `real` leaves is computed ---

    function partialNode(uint256 salt, uint256[] memory real, uint256 level, uint256 index)
        internal
        pure
        returns (bytes32)
    {
        if (!above(real, level, index)) return keccak256(abi.encode("stand-in", salt, level, index));
        if (level == 0) return sha256(leaf(salt, index));
        return
            sha256(
                abi.encode(
                    partialNode(salt, real, level - 1, 2 * index), partialNode(salt, real, level - 1, 2 * index + 1)
                )
            );
    }

    function partialPiece(uint256 salt, uint256[] memory real, uint256 leaves)
        internal
        pure
        returns (IStorageDeals.Piece memory)
    {
        return IStorageDeals.Piece(partialNode(salt, real, depth(leaves), 0), uint64(leaves));
    }

    /// What shows the `opened` ones of the real leaves; both may come in any order and more than once.
    function partialProof(uint256 salt, uint256[] memory real, uint256[] memory opened, uint256 leaves)
        internal
        pure
        returns (bytes memory)
    {
        return partialShown(salt, real, opened, depth(leaves), 0);
    }

    function partialShown(uint256 salt, uint256[] memory real, uint256[] memory opened, uint256 level, uint256 index)
        private
        pure
        returns (bytes memory)
    {
        if (level == 0) return leaf(salt, index);
        (uint256 left, uint256 right) = (2 * index, 2 * index + 1);
        --level;
        if (!above(opened, level, left)) {
            return
                bytes.concat(
                    partialShown(salt, real, opened, level, right), partialNode(salt, real, level, left)
                );
        }
        return bytes.concat(
            partialShown(salt, real, opened, level, left),
            above(opened, level, right)
                ? partialShown(salt, real, opened, level, right)
                : abi.encode(partialNode(salt, real, level, right))
        );
    }

    function above(uint256[] memory leaves, uint256 level, uint256 index) private pure returns (bool) {
        for (uint256 i = 0; i < leaves.length; ++i) {
            if (leaves[i] >> level == index) return true;
        }
        return false;
    }
}
