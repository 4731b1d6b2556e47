// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {DataSets} from "./DataSets.sol";
import {IERC3009Bytes} from "./interfaces/IERC3009Bytes.sol";
import {IProviderRegistry} from "./interfaces/IProviderRegistry.sol";
import {IRandomness} from "./interfaces/IRandomness.sol";
import {DealTypes} from "./libraries/DealTypes.sol";
import {ExactTransfer} from "./libraries/ExactTransfer.sol";
import {History} from "./libraries/History.sol";
import {PieceTree} from "./libraries/PieceTree.sol";
import {PossessionProof} from "./libraries/PossessionProof.sol";

/// Storage deals; see IStorageDeals for the rules and DataSets for how a set is kept.
///
/// **Pay and penalty.** A proven period pays min(price * challengeRange, escrow). A faulted one pays nothing and costs
/// FAULT_PERIODS times what it would have paid from the escrow that was there when the period began: money that comes
/// later makes no past period punishable, and an unfunded set costs its provider nothing. The registry caps each slash
/// at a share of the stake, so one bad night does not ruin a home.
///
/// **The seed** is prevrandao at the first `poke` in the window, or what RANDOMNESS says instead, and is never drawn again.
/// Who pokes may wait for a block that suits it, but so may everybody else: providers and customers should poke as soon as
/// the window opens. On a chain with one block producer prevrandao is only as honest as that producer.
///
/// Tokens held here are at least the sum of all escrows and of all that is owed. `multicall` runs several of these
/// functions for one caller in one transaction.
contract StorageDeals is DataSets, EIP712, Multicall, ReentrancyGuardTransient {
    using PieceTree for PieceTree.Tree;
    using History for History.Trace;

    uint256 public constant MAX_PROOFS = 32; // sets per call
    uint256 public constant MAX_PIECES = 256; // per call
    uint64 public constant MAX_PIECE_LEAVES = 1 << 22; // 1 GiB: bounds what a proof costs and reads
    uint256 public constant FAULT_PERIODS = 10; // a fault costs the pay of so many periods
    uint64 public constant REPORT_PERIODS = 255; // how long a fault can be reported
    uint64 public constant INACTIVE_PERIODS = 30; // without a proof, after which anyone may end a set

    IERC20 public immutable TOKEN;
    IProviderRegistry public immutable REGISTRY;
    IRandomness public immutable RANDOMNESS; // 0: prevrandao

    mapping(address provider => uint128) public owed;
    mapping(bytes32 setId => mapping(uint256 word => uint256)) private _reported; // bitmap by period

    constructor(address token, address registry, uint64 genesis, uint64 period, uint64 window, address randomness)
        DataSets(genesis, period, window)
        EIP712("DePIN StorageDeals", "1")
    {
        TOKEN = IERC20(token);
        REGISTRY = IProviderRegistry(registry);
        RANDOMNESS = IRandomness(randomness);
    }

    // --- customer ---

    function open(Terms calldata terms, bytes calldata customerSignature) external returns (bytes32 setId) {
        setId = dataSetId(terms);
        Set storage set = _sets[setId];
        if (set.provider != address(0)) revert SetExists(setId);
        if (terms.expires <= block.timestamp) revert Expired(terms.expires);
        if (!REGISTRY.isActive(terms.provider)) revert ProviderNotActive(terms.provider);
        _checkConsent(terms.customer, DealTypes.terms(terms), customerSignature);

        set.customer = terms.customer;
        set.expires = terms.expires;
        set.opened = uint32(currentPeriod());
        set.provider = terms.provider;
        set.expiryPeriod = _periodOf(terms.expires);
        set.endPeriod = NEVER;
        set.price = terms.price;
        set.rolled = set.opened;
        emit Opened(setId, terms.customer, terms.provider, terms.price, terms.expires);
    }

    function fund(
        bytes32 setId,
        uint128 amount,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 salt,
        bytes calldata authorization
    ) external nonReentrant {
        Set storage set = _running(setId);
        _roll(setId, set);
        uint256 before = TOKEN.balanceOf(address(this));
        IERC3009Bytes(address(TOKEN))
            .receiveWithAuthorization(
                set.customer,
                address(this),
                amount,
                validAfter,
                validBefore,
                keccak256(abi.encode(setId, salt)),
                authorization
            );
        ExactTransfer.check(TOKEN, before, amount);
        set.escrow += amount;
        emit Funded(setId, amount);
    }

    function add(bytes32 setId, Piece[] calldata pieces, uint64 firstPieceId, bytes calldata customerSignature)
        external
    {
        Set storage set = _running(setId);
        _onlyOperator(set.provider);
        if (!REGISTRY.isActive(set.provider)) revert ProviderNotActive(set.provider);
        if (pieces.length > MAX_PIECES) revert TooMany(pieces.length, MAX_PIECES);
        uint256 count = set.pieceCount;
        if (firstPieceId != count) revert WrongFirstPiece(uint64(count), firstPieceId);
        _checkConsent(set.customer, DealTypes.addPieces(setId, firstPieceId, pieces), customerSignature);
        _roll(setId, set);

        PieceTree.Tree storage tree = _trees[setId];
        uint256 leafCount = set.leafCount;
        for (uint256 i = 0; i < pieces.length; ++i) {
            (bytes32 root, uint256 leaves) = (pieces[i].root, pieces[i].leafCount);
            if (root == 0 || leaves == 0 || leaves > MAX_PIECE_LEAVES) revert BadPiece(i);
            tree.append(count, leaves, leafCount);
            _roots[setId][count] = root;
            leafCount += leaves;
            ++count;
        }
        if (leafCount > type(uint48).max) revert BadPiece(pieces.length);
        set.leafCount = uint48(leafCount);
        set.pieceCount = uint32(count);
        emit PiecesAdded(setId, firstPieceId, pieces);
    }

    function scheduleRemovals(bytes32 setId, uint64[] calldata pieceIds, bytes calldata customerSignature) external {
        Set storage set = _running(setId);
        _checkConsent(set.customer, DealTypes.scheduleRemovals(setId, pieceIds), customerSignature);
        _roll(setId, set);

        uint256 queued = set.queuedRemovals;
        if (queued + pieceIds.length > MAX_QUEUED_REMOVALS) {
            revert TooMany(queued + pieceIds.length, MAX_QUEUED_REMOVALS);
        }
        for (uint256 i = 0; i < pieceIds.length; ++i) {
            uint64 id = pieceIds[i];
            if (id >= set.pieceCount || _bit(_removed[setId], id)) revert PieceGone(id);
            _setBit(_removed[setId], id);
            _removals[setId][queued++] = id;
        }
        set.queuedRemovals = uint16(queued);
        emit RemovalsQueued(setId, pieceIds);
    }

    function terminate(bytes32 setId, bytes calldata customerSignature) external nonReentrant {
        Set storage set = _running(setId);
        if (set.endPeriod != NEVER) revert SetEnded(setId);
        address provider = set.provider;
        if (REGISTRY.ownerOf(provider) != msg.sender && REGISTRY.ownerOfOperator(msg.sender) != provider) {
            if (msg.sender != set.customer && customerSignature.length == 0) revert NotParty(msg.sender);
            _checkConsent(set.customer, DealTypes.terminate(setId), customerSignature);
        }
        uint64 period = currentPeriod();
        set.endPeriod = uint40(period + 1);
        emit Terminated(setId, msg.sender, period);
        if (owed[provider] != 0) _settle(provider);
    }

    function endInactive(bytes32 setId) external {
        Set storage set = _running(setId);
        uint64 period = currentPeriod();
        uint64 inactiveFrom = _inactiveFrom(set);
        if (period < inactiveFrom) revert StillActive(setId, inactiveFrom);
        _roll(setId, set);
        set.endPeriod = uint40(period); // at once: what is due until here can still be reported
        emit Terminated(setId, msg.sender, period - 1);
    }

    function returnEscrow(bytes32 setId) external nonReentrant {
        Set storage set = _known(setId);
        if (currentPeriod() < _end(set)) revert StillOpen(setId);
        _roll(setId, set);
        uint128 amount = set.escrow;
        if (amount == 0) revert NothingOwed();
        set.escrow = 0;
        emit EscrowReturned(setId, set.customer, amount);
        SafeERC20.safeTransfer(TOKEN, set.customer, amount);
    }

    // --- proofs ---

    function poke() external {
        uint64 period = currentPeriod();
        uint64 opensAt = GENESIS + (period + 1) * PERIOD - WINDOW;
        if (block.timestamp < opensAt) revert WindowClosed(opensAt);
        bytes32 drawn = address(RANDOMNESS) == address(0) ? bytes32(block.prevrandao) : RANDOMNESS.draw(period);
        if (seedOf[period] != 0) revert AlreadySeeded(period);
        bytes32 seed = keccak256(abi.encode(drawn, period, address(this)));
        seedOf[period] = seed;
        emit Seeded(period, seed);
    }

    function prove() external {
        uint64 period = currentPeriod();
        bytes32 seed = seedOf[period];
        if (seed == 0) revert NotSeeded(period);
        address provider = REGISTRY.ownerOfOperator(msg.sender);

        uint128 earned;
        uint256 cursor = 4; // behind the selector
        for (uint256 proofs = 0; cursor < msg.data.length; ++proofs) {
            if (proofs == MAX_PROOFS) revert TooMany(proofs + 1, MAX_PROOFS);
            bytes32 setId;
            assembly ("memory-safe") {
                setId := and(calldataload(cursor), not(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF))
            }
            Set storage set = _known(setId);
            if (set.provider != provider) revert NotOperator(msg.sender);
            _roll(setId, set);
            uint256 range = set.challengeRange;
            if (range == 0 || period >= _end(set)) revert NothingToProve(setId);
            if (isProven(setId, period)) revert AlreadyProven(setId, period);
            cursor = _verify(setId, _draw(seed, setId, range), set.pieceCount, cursor + 16);
            earned += _book(setId, set, period, range);
        }
        owed[provider] += earned;
    }

    function reportFault(bytes32 setId, uint64 period) external nonReentrant {
        Set storage set = _known(setId);
        _roll(setId, set);
        uint64 current = currentPeriod();
        uint256 due = _dues[setId].valueIn(period);
        if (
            period >= current || current - period > REPORT_PERIODS || period >= _end(set) || due == 0
                || isProven(setId, period) || _bit(_reported[setId], period)
        ) revert NotFaulted(setId, period);
        _setBit(_reported[setId], period);

        uint256 penalty = due * FAULT_PERIODS;
        uint128 asked = penalty < type(uint128).max ? uint128(penalty) : type(uint128).max;
        uint128 taken = REGISTRY.slash(set.provider, asked, msg.sender);
        emit Faulted(setId, set.provider, period, taken, msg.sender);
    }

    function settle(address provider) external nonReentrant returns (uint128) {
        if (owed[provider] == 0) revert NothingOwed();
        return _settle(provider);
    }

    // --- what to do ---

    function nextAction(bytes32 setId)
        external
        view
        returns (Step step, uint64 period, uint64 notBefore, uint64 deadline)
    {
        Set storage set = _known(setId);
        period = currentPeriod();
        deadline = _startOf(period + 1);
        notBefore = deadline - WINDOW;
        uint256 end = _end(set);
        if (period >= end) {
            if (set.escrow == 0) return (Step.Nothing, period, type(uint64).max, deadline);
            return (Step.Return, period, _startOf(uint64(end)), type(uint64).max);
        }
        uint64 leaves = set.leafCount - _dueRemovals(setId, set);
        if ((_isRolled(set) ? set.challengeRange : leaves) == 0 || isProven(setId, period)) {
            uint64 inactiveFrom = _inactiveFrom(set);
            if (leaves == 0 && period >= inactiveFrom) {
                return (Step.End, period, _startOf(inactiveFrom), type(uint64).max);
            }
            if (period + 1 < end) notBefore += PERIOD;
            else notBefore = set.escrow == 0 ? type(uint64).max : deadline;
            return (Step.Nothing, period, notBefore, deadline);
        }
        if (block.timestamp < notBefore) return (Step.Nothing, period, notBefore, deadline);
        step = seedOf[period] == 0 ? Step.Poke : Step.Prove;
    }

    // --- helpers ---

    function _settle(address provider) private returns (uint128 amount) {
        amount = owed[provider];
        owed[provider] = 0;
        address payout = REGISTRY.provider(provider).payout;
        emit Settled(provider, payout, amount);
        SafeERC20.safeTransfer(TOKEN, payout, amount);
    }

    /// Checks, piece by piece, what the calldata at `cursor` shows of the drawn leaves; returns where it ends.
    function _verify(bytes32 setId, uint256[] memory drawn, uint256 pieceCount, uint256 cursor)
        private
        view
        returns (uint256)
    {
        PieceTree.Tree storage tree = _trees[setId];
        mapping(uint256 pieceId => bytes32) storage roots = _roots[setId];
        uint256 levels = PieceTree.height(pieceCount);
        uint256 count = drawn.length;
        uint256 next;
        unchecked {
            for (uint256 first = 0; first < count; first = next) {
                (uint256 id, uint256 leaf, uint256 leaves) = tree.find(drawn[first], levels);
                uint256 start = drawn[first] - leaf;
                next = first + 1;
                while (next < count && drawn[next] < start + leaves) ++next;
                bytes32 root;
                (root, cursor) = PossessionProof.rootOf(cursor, drawn, first, next, start, PossessionProof.depth(leaves));
                if (root != roots[id] || cursor > msg.data.length) revert BadProof(setId, id);
            }
        }
        return cursor;
    }

    function _book(bytes32 setId, Set storage set, uint64 period, uint256 range) private returns (uint128 pay) {
        uint256 full = uint256(set.price) * range;
        pay = full < set.escrow ? uint128(full) : set.escrow;
        set.escrow -= pay;
        set.paid += pay;
        set.lastProven = uint40(period + 1);
        _setBit(_proven[setId], period);
        emit Proven(setId, set.provider, period, pay);
    }

    function _startOf(uint64 period) private view returns (uint64) {
        return GENESIS + period * PERIOD;
    }

    /// The first period in which anyone may end the set, unless it is proven before.
    function _inactiveFrom(Set storage set) private view returns (uint64) {
        return (set.lastProven > set.opened ? set.lastProven : set.opened) + INACTIVE_PERIODS;
    }

    function _running(bytes32 setId) private view returns (Set storage set) {
        set = _known(setId);
        if (currentPeriod() >= _end(set)) revert SetEnded(setId);
    }

    function _onlyOperator(address provider) private view {
        if (REGISTRY.ownerOfOperator(msg.sender) != provider) revert NotOperator(msg.sender);
    }

    /// The customer agrees by calling or by its signature, which a contract wallet gives by ERC-1271.
    function _checkConsent(address customer, bytes32 structHash, bytes calldata signature) private view {
        if (msg.sender == customer) return;
        if (!SignatureChecker.isValidSignatureNowCalldata(customer, _hashTypedDataV4(structHash), signature)) {
            revert BadSignature();
        }
    }
}
