// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IStorageDeals} from "./interfaces/IStorageDeals.sol";
import {History} from "./libraries/History.sol";
import {PieceTree} from "./libraries/PieceTree.sol";

/// The data sets of StorageDeals: what is stored for each, how it changes from one period to the next, and the views.
///
/// A set is brought up to date (`_roll`) by whatever touches it first in a period. Nothing happens to it between two
/// touches, so what the roll finds held from the period after the previous touch on. It applies the queued removals,
/// freezes the challenge range, and notes in `_dues` what a fault would cost from then on. A set that is not touched
/// for a hundred periods thus costs nothing in them, and each of them can still be judged.
abstract contract DataSets is IStorageDeals {
    using PieceTree for PieceTree.Tree;
    using History for History.Trace;

    /// Packed so that a proof reads four slots of it and writes two.
    struct Set {
        address customer;
        uint64 expires;
        uint32 opened; // period
        // ---
        address provider;
        uint40 expiryPeriod; // the first period that ends after `expires`
        uint40 endPeriod; // the first period after termination; max while not terminated
        // ---
        uint128 price;
        uint128 due; // the latest value in `_dues`
        // ---
        uint128 escrow;
        uint128 paid;
        // ---
        uint48 leafCount;
        uint48 challengeRange;
        uint40 rolled; // the period up to which the set is up to date
        uint40 lastProven; // period + 1; 0 if never
        uint32 pieceCount;
        uint16 queuedRemovals;
    }

    uint64 public constant CHALLENGES = 5;
    uint256 public constant MAX_QUEUED_REMOVALS = 64; // bounds what a roll costs
    uint40 internal constant NEVER = type(uint40).max;

    uint64 public immutable GENESIS;
    uint64 public immutable PERIOD;
    uint64 public immutable WINDOW;

    mapping(bytes32 setId => Set) internal _sets;
    mapping(bytes32 setId => PieceTree.Tree) internal _trees;
    mapping(bytes32 setId => mapping(uint256 pieceId => bytes32)) internal _roots;
    mapping(bytes32 setId => mapping(uint256 place => uint64 pieceId)) internal _removals;
    mapping(bytes32 setId => mapping(uint256 word => uint256)) internal _removed; // bitmap by piece: queued or gone
    mapping(bytes32 setId => mapping(uint256 word => uint256)) internal _proven; // bitmap by period
    mapping(bytes32 setId => History.Trace) internal _dues; // by period: what a proof would have paid
    mapping(uint64 period => bytes32) public seedOf;

    error BadSchedule();

    constructor(uint64 genesis, uint64 period, uint64 window) {
        if (genesis > block.timestamp || window == 0 || window > period) revert BadSchedule();
        GENESIS = genesis;
        PERIOD = period;
        WINDOW = window;
    }

    // --- views ---

    function currentPeriod() public view returns (uint64) {
        return (uint64(block.timestamp) - GENESIS) / PERIOD;
    }

    function dataSet(bytes32 setId) external view returns (DataSet memory) {
        Set storage set = _known(setId);
        uint64 leafCount = set.leafCount - _dueRemovals(setId, set);
        return DataSet({
            customer: set.customer,
            provider: set.provider,
            price: set.price,
            escrow: set.escrow,
            paid: set.paid,
            expires: set.expires,
            leafCount: leafCount,
            challengeRange: _isRolled(set) ? set.challengeRange : leafCount,
            pieceCount: set.pieceCount,
            lastProven: set.lastProven,
            endsAfter: set.endPeriod == NEVER ? type(uint64).max : set.endPeriod - 1
        });
    }

    function piece(bytes32 setId, uint64 pieceId) external view returns (Piece memory, bool live) {
        Set storage set = _known(setId);
        if (pieceId >= set.pieceCount) revert PieceGone(pieceId);
        uint64 leaves = uint64(_trees[setId].leavesOf(pieceId));
        live = leaves != 0 && !(!_isRolled(set) && _bit(_removed[setId], pieceId));
        return (Piece(_roots[setId][pieceId], live ? leaves : 0), live);
    }

    function challenges(bytes32 setId) external view returns (uint64[] memory pieceIds, uint64[] memory leafIndexes) {
        Set storage set = _known(setId);
        uint64 period = currentPeriod();
        bytes32 seed = seedOf[period];
        bool rolled = _isRolled(set);
        uint256 range = rolled ? set.challengeRange : set.leafCount - _dueRemovals(setId, set);
        if (seed == 0 || range == 0 || period >= _end(set)) return (pieceIds, leafIndexes);

        uint256[] memory drawn = _draw(seed, setId, range);
        pieceIds = new uint64[](drawn.length);
        leafIndexes = new uint64[](drawn.length);
        for (uint256 i = 0; i < drawn.length; ++i) {
            uint256 index = rolled ? drawn[i] : _skipDueRemovals(setId, set, drawn[i]);
            (pieceIds[i], leafIndexes[i]) = _locate(setId, set, index);
        }
    }

    function isProven(bytes32 setId, uint64 period) public view returns (bool) {
        return _bit(_proven[setId], period);
    }

    function stateOf(bytes32 setId, uint64 period) external view returns (State) {
        Set storage set = _known(setId);
        if (isProven(setId, period)) return State.Proven;
        uint64 current = currentPeriod();
        if (period >= _end(set) || (period < current && _dueIn(setId, set, period) == 0)) return State.NotDue;
        return period < current ? State.Faulted : State.Open;
    }

    function dataSetId(Terms calldata terms) public pure returns (bytes32) {
        return bytes16(keccak256(abi.encode(terms.customer, terms.provider, terms.salt)));
    }

    // --- from one period to the next ---

    function _known(bytes32 setId) internal view returns (Set storage set) {
        set = _sets[setId];
        if (set.provider == address(0)) revert UnknownSet(setId);
    }

    function _roll(bytes32 setId, Set storage set) internal {
        uint40 period = uint40(currentPeriod());
        uint40 rolled = set.rolled;
        if (rolled == period) return;
        if (set.queuedRemovals != 0) _applyRemovals(setId, set);
        set.challengeRange = set.leafCount;
        set.rolled = period;

        uint256 full = uint256(set.price) * set.leafCount;
        uint128 due = full < set.escrow ? uint128(full) : set.escrow;
        if (due != set.due) {
            set.due = due;
            _dues[setId].push(rolled + 1, due);
        }
    }

    function _applyRemovals(bytes32 setId, Set storage set) private {
        PieceTree.Tree storage tree = _trees[setId];
        uint64[] memory ids = new uint64[](set.queuedRemovals);
        uint256 gone;
        for (uint256 i = 0; i < ids.length; ++i) {
            ids[i] = _removals[setId][i];
            gone += tree.remove(ids[i], set.pieceCount);
        }
        set.leafCount -= uint48(gone);
        set.queuedRemovals = 0;
        emit PiecesRemoved(setId, ids);
    }

    /// The first period that is neither challenged nor paid.
    function _end(Set storage set) internal view returns (uint256) {
        return set.endPeriod < set.expiryPeriod ? set.endPeriod : set.expiryPeriod;
    }

    function _periodOf(uint64 expires) internal view returns (uint40) {
        uint256 period = expires < GENESIS ? 0 : (expires - GENESIS) / PERIOD;
        return period < NEVER ? uint40(period) : NEVER;
    }

    /// The leaves that the seed asks for, ascending and each once: keccak256(abi.encode(seed, setId, i)) % range for
    /// every i < CHALLENGES.
    function _draw(bytes32 seed, bytes32 setId, uint256 range) internal pure returns (uint256[] memory drawn) {
        drawn = new uint256[](CHALLENGES);
        assembly ("memory-safe") {
            let input := mload(0x40) // used and forgotten: the pointer is not moved
            mstore(input, seed)
            mstore(add(input, 32), setId)
            let items := add(drawn, 32)
            let end := items
            mstore(drawn, 0) // less than no index: insertion stops there at the latest
            for { let i := 0 } lt(i, CHALLENGES) { i := add(i, 1) } {
                mstore(add(input, 64), i)
                let index := mod(keccak256(input, 96), range)
                let place := end
                for {} gt(mload(sub(place, 32)), index) { place := sub(place, 32) } {
                    mstore(place, mload(sub(place, 32)))
                }
                mstore(place, index)
                end := add(end, 32)
            }
            let kept := items
            for { let item := add(items, 32) } lt(item, end) { item := add(item, 32) } {
                if iszero(eq(mload(item), mload(kept))) {
                    kept := add(kept, 32)
                    mstore(kept, mload(item))
                }
            }
            mstore(drawn, shr(5, sub(kept, drawn)))
        }
    }

    // --- views of a set that is not rolled yet ---

    /// What a proof would have paid in a past period, also in those since the last roll, which found nothing changed.
    function _dueIn(bytes32 setId, Set storage set, uint64 period) private view returns (uint256) {
        if (period <= set.rolled) return _dues[setId].valueIn(period);
        uint256 full = uint256(set.price) * (set.leafCount - _dueRemovals(setId, set));
        return full < set.escrow ? full : set.escrow;
    }

    function _isRolled(Set storage set) internal view returns (bool) {
        return set.rolled == currentPeriod();
    }

    /// Leaves that the coming roll will take out.
    function _dueRemovals(bytes32 setId, Set storage set) internal view returns (uint64 leaves) {
        if (_isRolled(set)) return 0;
        for (uint256 i = 0; i < set.queuedRemovals; ++i) {
            leaves += uint64(_trees[setId].leavesOf(_removals[setId][i]));
        }
    }

    function _locate(bytes32 setId, Set storage set, uint256 index) private view returns (uint64, uint64) {
        (uint256 id, uint256 leaf,) = _trees[setId].find(index, PieceTree.height(set.pieceCount));
        return (uint64(id), uint64(leaf));
    }

    /// Where the `index`-th leaf after the coming roll stands before it: the least fixed point of "index plus the leaves
    /// of all removed pieces that start at or before it".
    function _skipDueRemovals(bytes32 setId, Set storage set, uint256 index) private view returns (uint256 place) {
        uint256 next = index;
        do {
            place = next;
            next = index;
            for (uint256 i = 0; i < set.queuedRemovals; ++i) {
                uint64 id = _removals[setId][i];
                if (_trees[setId].startOf(id, set.pieceCount) <= place) next += _trees[setId].leavesOf(id);
            }
        } while (next != place);
    }

    // --- bitmaps ---

    function _bit(mapping(uint256 word => uint256) storage map, uint256 index) internal view returns (bool) {
        return map[index >> 8] & (1 << (index & 255)) != 0;
    }

    function _setBit(mapping(uint256 word => uint256) storage map, uint256 index) internal {
        map[index >> 8] |= 1 << (index & 255);
    }
}
