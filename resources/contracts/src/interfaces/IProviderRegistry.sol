// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// Who provides: the cold owner, the hot operator, the iroh node, the address that is paid, and the stake behind them.
/// A provider is identified everywhere by its owner's address.
interface IProviderRegistry {
    struct Provider {
        address operator;
        address payout;
        bytes32 nodeId;
        uint128 stake; // what may be slashed now, thawing part included
        uint128 thawing;
        uint64 thawEnds; // unix seconds; 0 while nothing thaws
        uint64 registeredAt;
    }

    event Registered(address indexed owner, address indexed operator, bytes32 indexed nodeId, address payout);
    event OperatorChanged(address indexed owner, address indexed operator);
    event PayoutChanged(address indexed owner, address payout);
    event NodeChanged(address indexed owner, bytes32 indexed nodeId);
    event Staked(address indexed owner, uint256 amount);
    event UnstakeRequested(address indexed owner, uint256 amount, uint64 thawEnds);
    event Unstaked(address indexed owner, uint256 amount);
    event Slashed(address indexed owner, address indexed module, uint256 burnt, address reporter, uint256 reward);

    error NotRegistered(address owner);
    error AlreadyRegistered(address owner);
    error OperatorTaken(address operator);
    error NodeTaken(bytes32 nodeId);
    error ZeroValue();
    error StakeTooSmall(uint256 stake, uint256 minimum);
    error NothingThawing();
    error StillThawing(uint64 thawEnds);
    error NotSlasher(address caller);

    /// The caller becomes a provider; `stakeAmount` (>= minStake) is taken by allowance.
    function register(address operator, address payout, bytes32 nodeId, uint128 stakeAmount) external;
    function setOperator(address operator) external;
    function setPayout(address payout) external;
    function setNode(bytes32 nodeId) external;
    function stake(uint128 amount) external;
    function requestUnstake(uint128 amount) external;
    function unstake() external;
    /// Slashing modules only; capped per call; returns what was really taken.
    function slash(address owner, uint128 amount, address reporter) external returns (uint128 taken);

    function provider(address owner) external view returns (Provider memory);
    function ownerOfOperator(address operator) external view returns (address);
    function ownerOfNode(bytes32 nodeId) external view returns (address);
    function isActive(address owner) external view returns (bool); // registered and stake >= minStake
    function minStake() external view returns (uint128);
    function count() external view returns (uint256);
    function owners(uint256 from, uint256 limit) external view returns (address[] memory);
}
