// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// Which piece holds the n-th leaf of a data set, in logarithmic time.
///
/// Serves as a Fenwick tree would, with fewer slots: a tree of sums whose nodes have four children, the four sums
/// packed into one word. Looking up one of 64 pieces reads 3 words (a Fenwick tree: 6), and adding 64 pieces fills 21
/// new slots (a Fenwick tree: 64).
///
/// Level 0 holds the leaf counts of pieces 4w .. 4w+3 in word w; level l + 1 holds in word w the sums of level l's
/// words 4w .. 4w+3. The top level is the first whose one word covers all pieces.
library PieceTree {
    struct Tree {
        uint256 base; // never written: it only gives the tree a place, from whose hash on the words lie
    }

    uint256 private constant LANE = type(uint64).max;

    /// Number of levels that `pieces` pieces need.
    function height(uint256 pieces) internal pure returns (uint256 levels) {
        unchecked {
            levels = 1;
            for (uint256 capacity = 4; capacity < pieces; capacity <<= 2) {
                ++levels;
            }
        }
    }

    /// Appends piece `id` (= pieces so far) with `leaves` leaves; `total` is the leaf count before.
    function append(Tree storage tree, uint256 id, uint256 leaves, uint256 total) internal {
        uint256 base = _base(tree);
        uint256 levels = height(id + 1);
        // A new top starts with the sum of everything below it in its first lane.
        if (id != 0 && levels > height(id)) _write(_slot(base, levels - 1, 0), total);
        for (uint256 level = 0; level < levels; ++level) {
            uint256 node = id >> (2 * level);
            uint256 slot = _slot(base, level, node >> 2);
            _write(slot, _read(slot) + (leaves << _shift(node)));
        }
    }

    /// Takes piece `id` out and returns its leaf count, 0 if it was out already. Later leaves move down.
    function remove(Tree storage tree, uint256 id, uint256 pieces) internal returns (uint256 leaves) {
        leaves = leavesOf(tree, id);
        if (leaves == 0) return 0;
        uint256 base = _base(tree);
        uint256 levels = height(pieces);
        for (uint256 level = 0; level < levels; ++level) {
            uint256 node = id >> (2 * level);
            uint256 slot = _slot(base, level, node >> 2);
            _write(slot, _read(slot) - (leaves << _shift(node)));
        }
    }

    function leavesOf(Tree storage tree, uint256 id) internal view returns (uint256) {
        return (_read(_slot(_base(tree), 0, id >> 2)) >> _shift(id)) & LANE;
    }

    /// The piece with the data set's leaf `index` (< total), that leaf's place in the piece, and the piece's leaf count.
    function find(Tree storage tree, uint256 index, uint256 levels)
        internal
        view
        returns (uint256 id, uint256 leaf, uint256 leaves)
    {
        unchecked {
            uint256 base = _base(tree);
            leaf = index;
            for (uint256 level = levels; level-- != 0;) {
                uint256 word = _read(_slot(base, level, id));
                id <<= 2;
                leaves = word & LANE;
                while (leaf >= leaves) {
                    leaf -= leaves;
                    word >>= 64;
                    leaves = word & LANE;
                    ++id;
                }
            }
        }
    }

    /// Leaves before piece `id`.
    function startOf(Tree storage tree, uint256 id, uint256 pieces) internal view returns (uint256 start) {
        uint256 base = _base(tree);
        uint256 levels = height(pieces);
        for (uint256 level = 0; level < levels; ++level) {
            uint256 node = id >> (2 * level);
            uint256 word = _read(_slot(base, level, node >> 2));
            for (uint256 lane = node & 3; lane != 0; --lane) {
                start += word & LANE;
                word >>= 64;
            }
        }
    }

    // --- storage: one hash per call instead of one per word ---

    function _base(Tree storage tree) private pure returns (uint256 base) {
        assembly ("memory-safe") {
            mstore(0, tree.slot)
            base := keccak256(0, 32)
        }
    }

    function _slot(uint256 base, uint256 level, uint256 word) private pure returns (uint256 slot) {
        unchecked {
            return base + ((level << 64) | word);
        }
    }

    function _read(uint256 slot) private view returns (uint256 word) {
        assembly ("memory-safe") {
            word := sload(slot)
        }
    }

    function _write(uint256 slot, uint256 word) private {
        assembly ("memory-safe") {
            sstore(slot, word)
        }
    }

    function _shift(uint256 node) private pure returns (uint256) {
        return (node & 3) << 6;
    }
}
