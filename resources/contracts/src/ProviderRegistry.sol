// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IProviderRegistry} from "./interfaces/IProviderRegistry.sol";
import {ExactTransfer} from "./libraries/ExactTransfer.sol";

/// Providers and the stake behind them.
///
/// Stake leaves by `requestUnstake` and, THAW_PERIOD later, `unstake`. Each request has its own clock: what is staked
/// meanwhile does not thaw with it, and a later request neither delays nor hastens an earlier one. Thawing stake no
/// longer counts for `isActive` but can still be slashed, last of all.
///
/// A slash takes at most MAX_SLASH_BPS of the stake, and most of it is burnt: a provider who reports itself, or
/// colludes with a reporter, gets only REWARD_BPS of it out, so slashing is no way round the thaw.
contract ProviderRegistry is IProviderRegistry {
    struct Thaw {
        uint128 amount;
        uint64 ends;
    }

    struct Record {
        address operator;
        uint64 registeredAt;
        address payout;
        bytes32 nodeId;
        uint128 stake;
        uint128 thawing;
        uint256 firstThaw; // those before it have left and are blank
        Thaw[] thaws; // by ascending end
    }

    uint256 public constant MAX_SLASH_BPS = 500; // of the stake, per slash
    uint256 public constant REWARD_BPS = 2_000; // of the slash, to the reporter
    uint256 public constant MAX_THAWS = 16; // at once, per provider
    uint64 public constant MAX_THAW_PERIOD = 365 days;
    uint256 private constant BPS = 10_000;

    ERC20Burnable public immutable TOKEN;
    uint64 public immutable THAW_PERIOD;
    uint128 public immutable minStake;

    address public admin;
    address public proposedAdmin;
    mapping(address module => bool) public isSlasher;

    mapping(address owner => Record) private _records;
    address[] private _owners;
    mapping(address operator => address) public ownerOfOperator;
    mapping(bytes32 nodeId => address) public ownerOfNode;

    event SlasherSet(address indexed module, bool allowed);
    event AdminProposed(address indexed proposed);
    event AdminChanged(address indexed admin);

    error NotAdmin(address caller);
    error ThawPeriodTooLong(uint64 given, uint64 maximum);
    error TooManyThaws(uint256 maximum);

    constructor(address token, uint128 minStake_, uint64 thawPeriod, address admin_) {
        if (token == address(0) || admin_ == address(0) || thawPeriod == 0) revert ZeroValue();
        // Bounded, so that `now + thawPeriod` can never wrap round into the past.
        if (thawPeriod > MAX_THAW_PERIOD) revert ThawPeriodTooLong(thawPeriod, MAX_THAW_PERIOD);
        TOKEN = ERC20Burnable(token);
        minStake = minStake_;
        THAW_PERIOD = thawPeriod;
        admin = admin_;
        emit AdminChanged(admin_);
    }

    // --- admin: names the slashing modules, nothing else ---

    function setSlasher(address module, bool allowed) external {
        _onlyAdmin();
        isSlasher[module] = allowed;
        emit SlasherSet(module, allowed);
    }

    function proposeAdmin(address proposed) external {
        _onlyAdmin();
        proposedAdmin = proposed;
        emit AdminProposed(proposed);
    }

    function acceptAdmin() external {
        if (msg.sender != proposedAdmin) revert NotAdmin(msg.sender);
        admin = msg.sender;
        delete proposedAdmin;
        emit AdminChanged(msg.sender);
    }

    // --- providers ---

    function register(address operator, address payout, bytes32 nodeId, uint128 stakeAmount) external {
        Record storage record = _records[msg.sender];
        if (record.registeredAt != 0) revert AlreadyRegistered(msg.sender);
        if (stakeAmount < minStake) revert StakeTooSmall(stakeAmount, minStake);
        record.registeredAt = uint64(block.timestamp);
        _owners.push(msg.sender);
        _takeOperator(record, operator);
        _takeNode(record, nodeId);
        if (payout == address(0)) revert ZeroValue();
        record.payout = payout;
        emit Registered(msg.sender, operator, nodeId, payout);
        if (stakeAmount != 0) _stake(record, stakeAmount);
    }

    function setOperator(address operator) external {
        Record storage record = _registered(msg.sender);
        delete ownerOfOperator[record.operator];
        _takeOperator(record, operator);
        emit OperatorChanged(msg.sender, operator);
    }

    function setPayout(address payout) external {
        if (payout == address(0)) revert ZeroValue();
        _registered(msg.sender).payout = payout;
        emit PayoutChanged(msg.sender, payout);
    }

    function setNode(bytes32 nodeId) external {
        Record storage record = _registered(msg.sender);
        delete ownerOfNode[record.nodeId];
        _takeNode(record, nodeId);
        emit NodeChanged(msg.sender, nodeId);
    }

    function stake(uint128 amount) external {
        Record storage record = _registered(msg.sender);
        if (amount == 0) revert ZeroValue();
        _stake(record, amount);
    }

    function requestUnstake(uint128 amount) external {
        Record storage record = _registered(msg.sender);
        if (amount == 0) revert ZeroValue();
        uint128 free = record.stake - record.thawing;
        if (amount > free) revert StakeTooSmall(free, amount);
        if (record.thaws.length - record.firstThaw == MAX_THAWS) revert TooManyThaws(MAX_THAWS);
        uint64 ends = uint64(block.timestamp) + THAW_PERIOD;
        record.thaws.push(Thaw(amount, ends));
        record.thawing += amount;
        emit UnstakeRequested(msg.sender, amount, ends);
    }

    /// Pays out every request whose time has come, to the owner.
    function unstake() external {
        Record storage record = _registered(msg.sender);
        uint256 first = record.firstThaw;
        uint256 length = record.thaws.length;
        if (first == length) revert NothingThawing();
        if (record.thaws[first].ends > block.timestamp) revert StillThawing(record.thaws[first].ends);

        uint128 amount;
        for (; first < length && record.thaws[first].ends <= block.timestamp; ++first) {
            amount += record.thaws[first].amount;
            delete record.thaws[first];
        }
        record.firstThaw = first;
        record.thawing -= amount;
        record.stake -= amount;
        emit Unstaked(msg.sender, amount);
        SafeERC20.safeTransfer(TOKEN, msg.sender, amount);
    }

    // --- slashing ---

    function slash(address owner, uint128 amount, address reporter) external returns (uint128 taken) {
        if (!isSlasher[msg.sender]) revert NotSlasher(msg.sender);
        Record storage record = _registered(owner);
        uint256 cap = (uint256(record.stake) * MAX_SLASH_BPS) / BPS;
        taken = uint128(Math.min(amount, cap));
        if (taken == 0) return 0;
        uint128 left = record.stake - taken;
        record.stake = left;
        if (record.thawing > left) _shrinkThaws(record, record.thawing - left);

        uint256 reward = reporter == address(0) ? 0 : (uint256(taken) * REWARD_BPS) / BPS;
        emit Slashed(owner, msg.sender, taken - reward, reporter, reward);
        TOKEN.burn(taken - reward);
        if (reward != 0) SafeERC20.safeTransfer(TOKEN, reporter, reward);
    }

    // --- views ---

    function provider(address owner) external view returns (Provider memory) {
        Record storage record = _records[owner];
        return Provider({
            operator: record.operator,
            payout: record.payout,
            nodeId: record.nodeId,
            stake: record.stake,
            thawing: record.thawing,
            thawEnds: record.firstThaw < record.thaws.length ? record.thaws[record.firstThaw].ends : 0,
            registeredAt: record.registeredAt
        });
    }

    /// The requests still thawing or ready to be paid out, the first to end first.
    function thaws(address owner) external view returns (Thaw[] memory pending) {
        Record storage record = _records[owner];
        pending = new Thaw[](record.thaws.length - record.firstThaw);
        for (uint256 i = 0; i < pending.length; ++i) {
            pending[i] = record.thaws[record.firstThaw + i];
        }
    }

    function isActive(address owner) external view returns (bool) {
        Record storage record = _records[owner];
        return record.registeredAt != 0 && record.stake - record.thawing >= minStake;
    }

    function count() external view returns (uint256) {
        return _owners.length;
    }

    function owners(uint256 from, uint256 limit) external view returns (address[] memory page) {
        uint256 length = _owners.length;
        uint256 size = from >= length ? 0 : Math.min(limit, length - from);
        page = new address[](size);
        for (uint256 i = 0; i < size; ++i) {
            page[i] = _owners[from + i];
        }
    }

    // --- helpers ---

    function _onlyAdmin() private view {
        if (msg.sender != admin) revert NotAdmin(msg.sender);
    }

    function _registered(address owner) private view returns (Record storage record) {
        record = _records[owner];
        if (record.registeredAt == 0) revert NotRegistered(owner);
    }

    function _takeOperator(Record storage record, address operator) private {
        if (operator == address(0)) revert ZeroValue();
        if (ownerOfOperator[operator] != address(0)) revert OperatorTaken(operator);
        ownerOfOperator[operator] = msg.sender;
        record.operator = operator;
    }

    function _takeNode(Record storage record, bytes32 nodeId) private {
        if (nodeId == 0) revert ZeroValue();
        if (ownerOfNode[nodeId] != address(0)) revert NodeTaken(nodeId);
        ownerOfNode[nodeId] = msg.sender;
        record.nodeId = nodeId;
    }

    function _stake(Record storage record, uint128 amount) private {
        record.stake += amount;
        emit Staked(msg.sender, amount);
        ExactTransfer.pull(IERC20(TOKEN), msg.sender, amount);
    }

    /// A slash that reached into the thawing part takes the newest requests first: they would have left last.
    function _shrinkThaws(Record storage record, uint128 excess) private {
        record.thawing -= excess;
        while (excess != 0) {
            Thaw storage last = record.thaws[record.thaws.length - 1];
            if (last.amount > excess) {
                last.amount -= excess;
                return;
            }
            excess -= last.amount;
            record.thaws.pop();
        }
    }
}
