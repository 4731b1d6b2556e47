// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// Checks opened leaves against a piece's root. A piece is a SHA-256 Merkle tree: its leaves are 256 bytes (the last one
/// zero-padded) and hashed; the hashes are padded with zeros to a power of two; a node is the hash of its two children.
/// A leaf and a pair of nodes differ in length, so neither can pass for the other.
///
/// Several leaves of one piece are shown by one walk from left to right, in which every node is given or computed once:
/// each leaf is followed by the siblings on its way up, but for those that follow from another opened leaf. Where only
/// one leaf is opened this is its plain Merkle path.
library PossessionProof {
    /// Levels above the leaf hashes of a piece with `leaves` leaves: ceil(log2(leaves)).
    function depth(uint256 leaves) internal pure returns (uint256 levels) {
        unchecked {
            return leaves == 1 ? 0 : Math.log2(leaves - 1) + 1;
        }
    }

    /// The root that follows from the calldata at `from`, and where that calldata ends.
    ///
    /// Opened are the piece's leaves `opened[first] - start` to `opened[last - 1] - start`, which ascend and differ. What
    /// lies beyond the end of the calldata counts as zero: the caller sees to it that `end` does not.
    function rootOf(
        uint256 from,
        uint256[] memory opened,
        uint256 first,
        uint256 last,
        uint256 start,
        uint256 levels
    ) internal view returns (bytes32 root, uint256 end) {
        assembly ("memory-safe") {
            // The place of the highest bit that is set.
            function highest(x) -> n {
                n := shl(6, lt(0xFFFFFFFFFFFFFFFF, x))
                n := or(n, shl(5, lt(0xFFFFFFFF, shr(n, x))))
                n := or(n, shl(4, lt(0xFFFF, shr(n, x))))
                n := or(n, shl(3, lt(0xFF, shr(n, x))))
                n := or(n, shl(2, lt(0xF, shr(n, x))))
                n := or(n, byte(shr(n, x), 0x0000010102020202030303030303030300000000000000000000000000000000))
            }

            end := from
            let leaf := mload(0x40) // used and forgotten: the pointer is not moved
            // Left nodes that wait for the one beside them, each as (level, node); under all lies a level never reached.
            let waiting := add(leaf, 256)
            mstore(waiting, not(0))
            let ok := 1
            let place := add(add(opened, 32), shl(5, first))
            for { let behind := add(add(opened, 32), shl(5, last)) } lt(place, behind) {} {
                let here := sub(mload(place), start)
                place := add(place, 32)
                // The way ends where this node and the next opened leaf's have the same parent, the last one's at the root.
                let top := levels
                if lt(place, behind) { top := highest(xor(here, sub(mload(place), start))) }

                // The running node is always written straight to the half of [0x00, 0x40) where its level wants it: bit
                // 5 of `bits` is the lowest bit of the index there.
                let bits := shl(5, here)
                calldatacopy(leaf, end, 256)
                end := add(end, 256)
                ok := and(ok, staticcall(gas(), 2, leaf, 256, and(bits, 32), 32))
                let level := 0
                for {} 1 {} {
                    let given := mload(waiting)
                    if lt(top, given) { given := top }
                    for { let until := add(end, shl(5, sub(given, level))) } lt(end, until) { end := add(end, 32) } {
                        mstore(xor(and(bits, 32), 32), calldataload(end))
                        bits := shr(1, bits)
                        ok := and(ok, staticcall(gas(), 2, 0, 64, and(bits, 32), 32))
                    }
                    if eq(given, top) { break }
                    mstore(0, mload(add(waiting, 32)))
                    waiting := sub(waiting, 64)
                    bits := shr(1, bits)
                    ok := and(ok, staticcall(gas(), 2, 0, 64, and(bits, 32), 32))
                    level := add(given, 1)
                }
                // A left child, or the root: both lie at 0.
                root := mload(0)
                waiting := add(waiting, 64)
                mstore(waiting, top)
                mstore(add(waiting, 32), root)
            }
            if iszero(ok) { revert(0, 0) } // the precompile fails only for want of gas
        }
    }
}
