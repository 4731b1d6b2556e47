// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {IProviderRegistry} from "./interfaces/IProviderRegistry.sol";
import {Slashers} from "./Slashers.sol";
import {Cells} from "./libraries/Cells.sol";
import {ExactTransfer} from "./libraries/ExactTransfer.sol";
import {Thaws} from "./libraries/Thaws.sol";

/// Providers and the stake behind them.
///
/// Stake leaves by `requestUnstake` and, THAW_PERIOD later, `unstake`. Each request has its own clock: what is staked
/// meanwhile does not thaw with it, and a later request neither delays nor hastens an earlier one. Thawing stake no
/// longer counts for `isActive` but can still be slashed, last of all.
///
/// A slash takes at most MAX_SLASH_BPS of the stake and all slashes of a day MAX_DAILY_BPS, so that one bad night does
/// not ruin a home. Most of it is burnt: a provider who reports itself, or colludes with a reporter, gets only
/// REWARD_BPS of it out, so slashing is no way round the thaw.
contract ProviderRegistry is IProviderRegistry, Slashers, Multicall {
    using Thaws for Thaws.Queue;

    struct Record {
        address owner;
        uint64 registeredAt;
        address operator;
        uint64 cell;
        uint32 services;
        address payout;
        uint64 dayEnds; // of the day whose slashes `dayLeft` still bounds
        bytes32 nodeId;
        uint128 stake;
        uint128 dayLeft; // base units
        address proposedOwner;
        Thaws.Queue thaws;
    }

    uint256 public constant MAX_SLASH_BPS = 500; // of the stake, per slash
    uint256 public constant MAX_DAILY_BPS = 2_000; // of the stake when the day's first slash came, per day
    uint256 public constant REWARD_BPS = 2_000; // of the slash, to the reporter
    uint256 public constant MAX_PAGE = 512; // owners per view
    uint256 private constant BPS = 10_000;

    ERC20Burnable public immutable TOKEN;
    uint128 public immutable minStake;

    mapping(address provider => Record) private _records;
    address[] private _providers;
    mapping(address wallet => address) public providerOf;
    mapping(address operator => address) public ownerOfOperator;
    mapping(bytes32 nodeId => address) public ownerOfNode;

    constructor(address token, uint128 minStake_, uint64 thawPeriod, address admin_) Slashers(thawPeriod, admin_) {
        if (token == address(0)) revert ZeroValue();
        TOKEN = ERC20Burnable(token);
        minStake = minStake_;
    }

    // --- who is who ---

    function register(address operator, address payout, bytes32 nodeId, uint128 stakeAmount) external {
        Record storage record = _records[msg.sender];
        if (record.registeredAt != 0 || providerOf[msg.sender] != address(0)) revert AlreadyRegistered(msg.sender);
        if (stakeAmount < minStake) revert StakeTooSmall(stakeAmount, minStake);
        if (payout == address(0)) revert ZeroValue();
        _providers.push(msg.sender);
        providerOf[msg.sender] = msg.sender;
        record.owner = msg.sender;
        record.registeredAt = uint64(block.timestamp);
        record.payout = payout;
        _takeOperator(msg.sender, record, operator);
        _takeNode(msg.sender, record, nodeId);
        emit Registered(msg.sender, operator, nodeId, payout);
        if (stakeAmount != 0) _stake(msg.sender, record, stakeAmount);
    }

    function proposeOwner(address proposed) external {
        (address name, Record storage record) = _own();
        record.proposedOwner = proposed;
        emit OwnerProposed(name, proposed);
    }

    function acceptOwner(address name) external {
        Record storage record = _records[name];
        if (msg.sender != record.proposedOwner) revert NotProposed(msg.sender);
        if (providerOf[msg.sender] != address(0)) revert AlreadyRegistered(msg.sender);
        delete providerOf[record.owner];
        delete record.proposedOwner;
        providerOf[msg.sender] = name;
        record.owner = msg.sender;
        emit OwnerChanged(name, msg.sender);
    }

    function setOperator(address operator) external {
        (address name, Record storage record) = _own();
        delete ownerOfOperator[record.operator];
        _takeOperator(name, record, operator);
        emit OperatorChanged(name, operator);
    }

    function setPayout(address payout) external {
        if (payout == address(0)) revert ZeroValue();
        (address name, Record storage record) = _own();
        record.payout = payout;
        emit PayoutChanged(name, payout);
    }

    function setNode(bytes32 nodeId) external {
        (address name, Record storage record) = _own();
        delete ownerOfNode[record.nodeId];
        _takeNode(name, record, nodeId);
        emit NodeChanged(name, nodeId);
    }

    function describe(uint32 services, uint64 cell) external {
        (address name, Record storage record) = _own();
        if (cell != 0 && !Cells.isCoarse(cell)) revert BadCell(cell);
        record.services = services;
        record.cell = cell;
        emit Described(name, services, cell);
    }

    // --- stake ---

    function permit(uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external {
        // Whoever saw the permit may have used it before us: then the allowance is there, which is all that counts.
        try IERC20Permit(address(TOKEN)).permit(msg.sender, address(this), value, deadline, v, r, s) {} catch {}
    }

    function stake(uint128 amount) external {
        (address name, Record storage record) = _own();
        if (amount == 0) revert ZeroValue();
        _stake(name, record, amount);
    }

    function requestUnstake(uint128 amount) external {
        (address name, Record storage record) = _own();
        if (amount == 0) revert ZeroValue();
        uint128 free = record.stake - record.thaws.total;
        if (amount > free) revert StakeTooSmall(free, amount);
        uint64 ends = uint64(block.timestamp) + THAW_PERIOD;
        record.thaws.push(amount, ends);
        emit UnstakeRequested(name, amount, ends);
    }

    /// Pays out every request whose time has come, to the wallet that owns the provider.
    function unstake() external {
        (address name, Record storage record) = _own();
        uint64 ends = record.thaws.nextEnd();
        if (ends == 0) revert NothingThawing();
        if (ends > block.timestamp) revert StillThawing(ends);
        uint128 amount = record.thaws.popEnded();
        record.stake -= amount;
        emit Unstaked(name, amount);
        SafeERC20.safeTransfer(TOKEN, msg.sender, amount);
    }

    function slash(address name, uint128 amount, address reporter) external returns (uint128 taken) {
        if (!isSlasher(msg.sender)) revert NotSlasher(msg.sender);
        Record storage record = _records[name];
        if (record.registeredAt == 0) revert NotRegistered(name);
        taken = uint128(Math.min(Math.min(amount, _share(record.stake, MAX_SLASH_BPS)), _leftToday(record)));
        if (taken == 0) return 0;
        record.dayLeft -= taken;
        uint128 left = record.stake - taken;
        record.stake = left;
        if (record.thaws.total > left) record.thaws.shrink(record.thaws.total - left);

        uint256 reward = reporter == address(0) ? 0 : _share(taken, REWARD_BPS);
        emit Slashed(name, msg.sender, taken - reward, reporter, reward);
        TOKEN.burn(taken - reward);
        if (reward != 0) SafeERC20.safeTransfer(TOKEN, reporter, reward);
    }

    // --- views ---

    function provider(address name) external view returns (Provider memory) {
        Record storage record = _records[name];
        return Provider({
            operator: record.operator,
            payout: record.payout,
            nodeId: record.nodeId,
            stake: record.stake,
            thawing: record.thaws.total,
            thawEnds: record.thaws.nextEnd(),
            registeredAt: record.registeredAt,
            owner: record.owner,
            services: record.services,
            cell: record.cell
        });
    }

    function ownerOf(address name) external view returns (address) {
        return _records[name].owner;
    }

    /// The requests still thawing or ready to be paid out, the first to end first.
    function thaws(address name) external view returns (Thaws.Thaw[] memory) {
        return _records[name].thaws.pending();
    }

    function isActive(address name) external view returns (bool) {
        Record storage record = _records[name];
        return record.registeredAt != 0 && record.stake - record.thaws.total >= minStake;
    }

    function count() external view returns (uint256) {
        return _providers.length;
    }

    function owners(uint256 from, uint256 limit) external view returns (address[] memory page) {
        uint256 length = _providers.length;
        uint256 size = from >= length ? 0 : Math.min(Math.min(limit, MAX_PAGE), length - from);
        page = new address[](size);
        for (uint256 i = 0; i < size; ++i) {
            page[i] = _providers[from + i];
        }
    }

    // --- helpers ---

    function _hasProviders() internal view override returns (bool) {
        return _providers.length != 0;
    }

    /// The provider that the caller acts for.
    function _own() private view returns (address name, Record storage record) {
        name = providerOf[msg.sender];
        if (name == address(0)) revert NotRegistered(msg.sender);
        record = _records[name];
    }

    function _takeOperator(address name, Record storage record, address operator) private {
        if (operator == address(0)) revert ZeroValue();
        if (ownerOfOperator[operator] != address(0)) revert OperatorTaken(operator);
        ownerOfOperator[operator] = name;
        record.operator = operator;
    }

    function _takeNode(address name, Record storage record, bytes32 nodeId) private {
        if (nodeId == 0) revert ZeroValue();
        if (ownerOfNode[nodeId] != address(0)) revert NodeTaken(nodeId);
        ownerOfNode[nodeId] = name;
        record.nodeId = nodeId;
    }

    function _stake(address name, Record storage record, uint128 amount) private {
        record.stake += amount;
        emit Staked(name, amount);
        ExactTransfer.pull(IERC20(TOKEN), msg.sender, amount);
    }

    /// What may still be slashed today; a day begins with its first slash.
    function _leftToday(Record storage record) private returns (uint256) {
        if (block.timestamp >= record.dayEnds) {
            record.dayEnds = uint64(block.timestamp + 1 days);
            record.dayLeft = uint128(_share(record.stake, MAX_DAILY_BPS));
        }
        return record.dayLeft;
    }

    function _share(uint256 whole, uint256 bps) private pure returns (uint256) {
        return (whole * bps) / BPS;
    }
}
