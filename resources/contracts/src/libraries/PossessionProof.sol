// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// Checks opened leaves against a piece's root. A piece is a SHA-256 Merkle tree: its leaves are 256 bytes (the last one
/// zero-padded) and hashed; the hashes are padded with zeros to a power of two; a node is the hash of its two children.
/// A leaf and a pair of nodes differ in length, so neither can pass for the other.
library PossessionProof {
    uint256 internal constant LEAF_BYTES = 256;

    /// Levels above the leaf hashes of a piece with `leaves` leaves: ceil(log2(leaves)).
    function depth(uint256 leaves) internal pure returns (uint256 levels) {
        unchecked {
            return leaves == 1 ? 0 : Math.log2(leaves - 1) + 1;
        }
    }

    /// The root that follows from the leaf at calldata offset `from`, the siblings that follow it there, and the leaf's
    /// place `index`. The caller sees to it that the calldata is long enough.
    function rootOf(uint256 from, uint256 index, uint256 levels) internal view returns (bytes32 root) {
        assembly ("memory-safe") {
            let leaf := mload(0x40) // used and forgotten: the pointer is not moved
            calldatacopy(leaf, from, 256)
            // The running node is always written straight to the half of [0x00, 0x40) where its level wants it: bit 5
            // of `bits` is the lowest bit of the index there.
            let bits := shl(5, index)
            let ok := staticcall(gas(), 2, leaf, 256, and(bits, 32), 32)
            let sibling := add(from, 256)
            for { let end := add(sibling, shl(5, levels)) } lt(sibling, end) { sibling := add(sibling, 32) } {
                mstore(xor(and(bits, 32), 32), calldataload(sibling))
                bits := shr(1, bits)
                ok := and(ok, staticcall(gas(), 2, 0, 64, and(bits, 32), 32))
            }
            // Above the root the index is 0, so the root lies at 0. The precompile fails only for want of gas.
            if iszero(ok) { revert(0, 0) }
            root := mload(0)
        }
    }
}
