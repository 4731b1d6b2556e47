// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// Storage deals with periodic possession challenges.
///
/// Time is cut into periods of PERIOD seconds counted from GENESIS; all data sets share them. The last WINDOW seconds of
/// a period are its challenge window: anyone may `poke` once to fix the period's seed, then providers `prove`.
/// A proven period is paid from the data set's escrow; a period that ended unproven is faulted and never paid.
interface IStorageDeals {
    struct Terms {
        address customer;
        address provider; // owner address in the registry
        uint128 price; // base units per 256-byte leaf and period
        uint64 expires; // unix seconds: periods that end later are not paid
        bytes32 salt;
    }

    /// A sealed piece: Merkle root over SHA-256 of 256-byte leaves, padded with zero hashes to a power of two.
    struct Piece {
        bytes32 root;
        uint64 leafCount;
    }

    struct DataSet {
        address customer;
        address provider;
        uint128 price;
        uint128 escrow;
        uint128 paid; // so far, to the provider
        uint64 expires;
        uint64 leafCount; // now
        uint64 challengeRange; // leaves that this period's challenges are drawn from, and that it pays for
        uint64 pieceCount; // ever added; piece ids run below it
        uint64 lastProven; // period + 1; 0 if never
        uint64 endsAfter; // last period that is still challenged and paid; max while not terminated
    }

    enum Step {
        Nothing, // empty, ended or already proven: look again at notBefore
        Poke, // the window is open and nobody has poked
        Prove, // the seed is fixed: prove before the deadline
        End, // nothing in it and inactive: endInactive clears it away; a set with pieces is proven rather than ended
        Return // over with escrow left: returnEscrow gives it back to the customer
    }

    /// What became of a period of a data set.
    enum State {
        NotDue, // nothing to prove or nothing to pay from
        Open, // not over yet
        Proven, // paid, once
        Faulted // over and unproven: never paid
    }

    event Opened(
        bytes32 indexed setId, address indexed customer, address indexed provider, uint128 price, uint64 expires
    );
    event Funded(bytes32 indexed setId, uint128 amount);
    event PiecesAdded(bytes32 indexed setId, uint64 firstPieceId, Piece[] pieces);
    event RemovalsQueued(bytes32 indexed setId, uint64[] pieceIds);
    event PiecesRemoved(bytes32 indexed setId, uint64[] pieceIds);
    event Seeded(uint64 indexed period, bytes32 seed);
    event Proven(bytes32 indexed setId, address indexed provider, uint64 indexed period, uint128 paid);
    event Faulted(
        bytes32 indexed setId, address indexed provider, uint64 indexed period, uint128 slashed, address reporter
    );
    event Settled(address indexed provider, address indexed payout, uint128 amount);
    event Terminated(bytes32 indexed setId, address indexed by, uint64 endsAfter);
    event EscrowReturned(bytes32 indexed setId, address indexed customer, uint128 amount);

    error UnknownSet(bytes32 setId);
    error SetExists(bytes32 setId);
    error SetEnded(bytes32 setId);
    error Expired(uint64 expires);
    error ProviderNotActive(address provider);
    error NotOperator(address caller);
    error NotParty(address caller);
    error BadSignature();
    error WrongFirstPiece(uint64 expected, uint64 given);
    error BadPiece(uint256 index);
    error TooMany(uint256 given, uint256 limit);
    error PieceGone(uint64 pieceId);
    error WindowClosed(uint64 opensAt);
    error AlreadySeeded(uint64 period);
    error NotSeeded(uint64 period);
    error NothingToProve(bytes32 setId);
    error AlreadyProven(bytes32 setId, uint64 period);
    error BadProof(bytes32 setId, uint256 pieceId);
    error NotFaulted(bytes32 setId, uint64 period);
    error StillOpen(bytes32 setId);
    error StillActive(bytes32 setId, uint64 untilPeriod);
    error NothingOwed();

    /// Opens a data set under id = dataSetId(terms). Anyone may send the customer's signed terms.
    function open(Terms calldata terms, bytes calldata customerSignature) external returns (bytes32 setId);
    /// Moves `amount` from the customer into the set's escrow by ERC-3009; nonce = keccak256(abi.encode(setId, salt)).
    function fund(
        bytes32 setId,
        uint128 amount,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 salt,
        bytes calldata authorization
    ) external;
    /// Called by the provider's operator with the customer's signature over AddPieces: both agree.
    function add(bytes32 setId, Piece[] calldata pieces, uint64 firstPieceId, bytes calldata customerSignature) external;
    /// Takes effect when the current period ends. By the customer, or anyone with the customer's signature.
    function scheduleRemovals(bytes32 setId, uint64[] calldata pieceIds, bytes calldata customerSignature) external;
    function poke() external;
    /// By the operator: proofs for the current period, packed behind the selector with nothing between them, as calldata
    /// is what they cost. Each is a set's id (its 16 bytes), then for each of its `challenges` in order the leaf (256 bytes)
    /// and the siblings upwards from it, without those that follow from another challenged leaf of the same piece.
    function prove() external;
    /// Anyone, after the period's end and at most 255 periods later; slashes the stake, rewards the caller.
    function reportFault(bytes32 setId, uint64 period) external;
    /// Pays what the provider has accrued to its payout address. Anyone may call.
    function settle(address provider) external returns (uint128 amount);
    /// Ends the set with the current period and settles. By the customer, the provider's owner or operator, or with the
    /// customer's signature.
    function terminate(bytes32 setId, bytes calldata customerSignature) external;
    /// Ends at once a set that was opened and last proven INACTIVE_PERIODS ago or earlier. Anyone may call.
    function endInactive(bytes32 setId) external;
    /// After the set's end: what is left in escrow goes back to the customer. Anyone may call.
    function returnEscrow(bytes32 setId) external;

    function dataSetId(Terms calldata terms) external pure returns (bytes32); // bytes16(keccak256(abi.encode(customer, provider, salt)))
    function dataSet(bytes32 setId) external view returns (DataSet memory);
    function piece(bytes32 setId, uint64 pieceId) external view returns (Piece memory, bool live);
    /// This period's challenges: (pieceId, leafIndex), ascending, each once; empty arrays until the seed is fixed.
    function challenges(bytes32 setId) external view returns (uint64[] memory pieceIds, uint64[] memory leafIndexes);
    /// What the set asks of its provider: not before `notBefore`, useless after `deadline`; the maximum stands for never.
    /// Settling is no step of a set: what is owed lies here safely, terminating settles by itself, and whether a call is
    /// worth its fee follows from prices that no contract knows.
    function nextAction(bytes32 setId)
        external
        view
        returns (Step step, uint64 period, uint64 notBefore, uint64 deadline);
    function currentPeriod() external view returns (uint64);
    function seedOf(uint64 period) external view returns (bytes32); // zero until fixed
    function isProven(bytes32 setId, uint64 period) external view returns (bool);
    function stateOf(bytes32 setId, uint64 period) external view returns (State);
    function owed(address provider) external view returns (uint128);
    function PERIOD() external view returns (uint64);
    function WINDOW() external view returns (uint64);
    function GENESIS() external view returns (uint64);
    function CHALLENGES() external view returns (uint64);
}
