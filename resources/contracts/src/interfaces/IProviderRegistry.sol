// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// Who provides: the cold owner, the hot operator, the iroh node, the address that is paid, and the stake behind them.
///
/// A provider is named everywhere, also where an event or argument says `owner`, by the address that registered it. That
/// name stays when `proposeOwner` and `acceptOwner` hand the provider to another wallet: deals, earnings and channels
/// go on as they are.
interface IProviderRegistry {
    struct Provider {
        address operator;
        address payout;
        bytes32 nodeId;
        uint128 stake; // what may be slashed now, thawing part included
        uint128 thawing;
        uint64 thawEnds; // unix seconds; 0 while nothing thaws
        uint64 registeredAt;
        address owner; // the wallet that acts for it now
        uint32 services; // bit by service: 0 storage, 1 compute, 2 sensing, 3 rides; none: not said
        uint64 cell; // H3 index of about where, resolution 5 at most; 0: not said
    }

    event Registered(address indexed owner, address indexed operator, bytes32 indexed nodeId, address payout);
    event OwnerProposed(address indexed owner, address indexed proposed);
    event OwnerChanged(address indexed owner, address indexed wallet);
    event OperatorChanged(address indexed owner, address indexed operator);
    event PayoutChanged(address indexed owner, address payout);
    event NodeChanged(address indexed owner, bytes32 indexed nodeId);
    event Described(address indexed owner, uint32 services, uint64 cell);
    event Staked(address indexed owner, uint256 amount);
    event UnstakeRequested(address indexed owner, uint256 amount, uint64 thawEnds);
    event Unstaked(address indexed owner, uint256 amount);
    event Slashed(address indexed owner, address indexed module, uint256 burnt, address reporter, uint256 reward);

    error NotRegistered(address owner);
    error AlreadyRegistered(address owner);
    error NotProposed(address caller);
    error OperatorTaken(address operator);
    error NodeTaken(bytes32 nodeId);
    error BadCell(uint64 cell);
    error ZeroValue();
    error StakeTooSmall(uint256 stake, uint256 minimum);
    error NothingThawing();
    error StillThawing(uint64 thawEnds);
    error NotSlasher(address caller);

    /// The caller becomes a provider; `stakeAmount` (>= minStake) is taken by allowance.
    function register(address operator, address payout, bytes32 nodeId, uint128 stakeAmount) external;
    /// Hands the provider, its stake included, to the wallet that accepts it. Zero takes the proposal back.
    function proposeOwner(address proposed) external;
    function acceptOwner(address provider) external;
    function setOperator(address operator) external;
    function setPayout(address payout) external;
    function setNode(bytes32 nodeId) external;
    /// Says, or with zeros no longer says, what is offered and about where.
    function describe(uint32 services, uint64 cell) external;
    function stake(uint128 amount) external;
    function requestUnstake(uint128 amount) external;
    function unstake() external;
    /// An allowance by the caller's EIP-2612 signature; for `multicall` with `register` or `stake`. Never reverts:
    /// who sends the same permit ahead of it changes nothing.
    function permit(uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;
    /// Slashing modules only; capped per call and per day; returns what was really taken.
    function slash(address owner, uint128 amount, address reporter) external returns (uint128 taken);

    function provider(address owner) external view returns (Provider memory);
    function ownerOf(address provider) external view returns (address); // the wallet that acts for it now, 0 if none
    function providerOf(address wallet) external view returns (address); // the provider that `wallet` acts for
    function ownerOfOperator(address operator) external view returns (address);
    function ownerOfNode(bytes32 nodeId) external view returns (address);
    function isActive(address owner) external view returns (bool); // registered and stake >= minStake
    function minStake() external view returns (uint128);
    function count() external view returns (uint256);
    function owners(uint256 from, uint256 limit) external view returns (address[] memory); // at most MAX_PAGE
}
