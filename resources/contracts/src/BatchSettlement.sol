// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IBatchSettlement} from "./interfaces/IBatchSettlement.sol";
import {IDepositCollector} from "./interfaces/IDepositCollector.sol";
import {ExactTransfer} from "./libraries/ExactTransfer.sol";
import {SettlementTypes} from "./libraries/SettlementTypes.sol";

/// Our own implementation of x402's batch-settlement channels, for chains that lack the canonical contract.
///
/// Has no constructor and no immutables: a genesis file places its code at the address that x402's clients know.
/// For every channel: totalClaimed <= balance. For every token: what the contract holds is the sum over channels of
/// (balance - totalClaimed) plus the sum over receivers of (totalClaimed - totalSettled).
contract BatchSettlement is IBatchSettlement, Multicall, ReentrancyGuardTransient {
    struct Channel {
        uint128 balance;
        uint128 totalClaimed;
    }

    struct Withdrawal {
        uint128 amount;
        uint40 initiatedAt;
    }

    struct Receiver {
        uint128 totalClaimed;
        uint128 totalSettled;
    }

    uint40 public constant MIN_WITHDRAW_DELAY = 15 minutes;
    uint40 public constant MAX_WITHDRAW_DELAY = 30 days;

    mapping(bytes32 channelId => Channel) public channels;
    mapping(bytes32 channelId => Withdrawal) public pendingWithdrawals;
    mapping(address receiver => mapping(address token => Receiver)) public receivers;
    mapping(bytes32 channelId => uint256) public refundNonce;

    // --- payer ---

    function deposit(ChannelConfig calldata config, uint128 amount, address collector, bytes calldata collectorData)
        external
        nonReentrant
    {
        _checkConfig(config);
        if (amount == 0) revert ZeroValue();
        bytes32 channelId = getChannelId(config);

        IERC20 token = IERC20(config.token);
        uint256 before = token.balanceOf(address(this));
        // The collector is whoever the caller names: only the balance decides whether it did its work.
        IDepositCollector(collector).collect(config.payer, config.token, amount, channelId, collectorData);
        ExactTransfer.check(token, before, amount);

        Channel storage channel = channels[channelId];
        uint128 balance = channel.balance + amount;
        if (balance == amount && channel.totalClaimed == 0) {
            emit ChannelOpened(channelId, config.payer, config.receiver, config);
        }
        channel.balance = balance;
        emit Deposited(channelId, config.payer, config.receiver, amount, balance);
    }

    function initiateWithdraw(ChannelConfig calldata config, uint128 amount) external {
        _onlyPayer(config);
        if (amount == 0) revert ZeroValue();
        bytes32 channelId = getChannelId(config);
        uint128 available = _available(channelId);
        if (amount > available) revert ExceedsBalance(channelId, amount, available);
        uint40 time = uint40(block.timestamp);
        pendingWithdrawals[channelId] = Withdrawal(amount, time);
        emit WithdrawInitiated(channelId, config.payer, config.receiver, amount, time + config.withdrawDelay);
    }

    function finalizeWithdraw(ChannelConfig calldata config) external nonReentrant {
        _onlyPayer(config);
        bytes32 channelId = getChannelId(config);
        Withdrawal memory pending = pendingWithdrawals[channelId];
        if (pending.initiatedAt == 0) revert NoWithdrawal(channelId);
        uint256 readyAt = uint256(pending.initiatedAt) + config.withdrawDelay;
        if (block.timestamp < readyAt) revert WithdrawalNotReady(readyAt);
        delete pendingWithdrawals[channelId];

        uint128 available = _available(channelId);
        uint128 amount = pending.amount < available ? pending.amount : available;
        emit Withdrawn(channelId, config.payer, config.receiver, amount);
        _giveBack(config, channelId, amount);
    }

    // --- receiver ---

    function claim(VoucherClaim[] calldata voucherClaims) external {
        for (uint256 i = 0; i < voucherClaims.length; ++i) {
            _onlyReceiver(voucherClaims[i].voucher.channel);
        }
        _claim(voucherClaims, _channelIds(voucherClaims));
    }

    function claimWithSignature(VoucherClaim[] calldata voucherClaims, bytes calldata authorizerSignature) external {
        if (voucherClaims.length == 0) revert ZeroValue();
        address authorizer = voucherClaims[0].voucher.channel.receiverAuthorizer;
        for (uint256 i = 1; i < voucherClaims.length; ++i) {
            if (voucherClaims[i].voucher.channel.receiverAuthorizer != authorizer) revert MixedAuthorizers();
        }
        bytes32[] memory channelIds = _channelIds(voucherClaims);
        bytes32 digest = SettlementTypes.claimBatchDigest(SettlementTypes.domain(), voucherClaims, channelIds);
        _checkSignature(authorizer, digest, authorizerSignature);
        _claim(voucherClaims, channelIds);
    }

    function settle(address receiver, address token) external nonReentrant {
        Receiver storage account = receivers[receiver][token];
        uint128 amount = account.totalClaimed - account.totalSettled;
        if (amount == 0) revert NothingToSettle();
        account.totalSettled = account.totalClaimed;
        emit Settled(receiver, token, msg.sender, amount);
        SafeERC20.safeTransfer(IERC20(token), receiver, amount);
    }

    function refund(ChannelConfig calldata config, uint128 amount) external nonReentrant {
        _onlyReceiver(config);
        _refund(config, getChannelId(config), amount);
    }

    function refundWithSignature(
        ChannelConfig calldata config,
        uint128 amount,
        uint256 nonce,
        bytes calldata receiverAuthorizerSignature
    ) external nonReentrant {
        bytes32 channelId = getChannelId(config);
        uint256 expected = refundNonce[channelId]++;
        if (nonce != expected) revert WrongRefundNonce(expected, nonce);
        _checkSignature(
            config.receiverAuthorizer, getRefundDigest(channelId, nonce, amount), receiverAuthorizerSignature
        );
        _refund(config, channelId, amount);
    }

    // --- digests ---

    function getChannelId(ChannelConfig calldata config) public view returns (bytes32) {
        return SettlementTypes.channelId(SettlementTypes.domain(), config);
    }

    function getVoucherDigest(bytes32 channelId, uint128 maxClaimableAmount) external view returns (bytes32) {
        return SettlementTypes.voucherDigest(SettlementTypes.domain(), channelId, maxClaimableAmount);
    }

    function getRefundDigest(bytes32 channelId, uint256 nonce, uint128 amount) public view returns (bytes32) {
        return SettlementTypes.refundDigest(SettlementTypes.domain(), channelId, nonce, amount);
    }

    function getClaimBatchDigest(VoucherClaim[] calldata voucherClaims) external view returns (bytes32) {
        return SettlementTypes.claimBatchDigest(SettlementTypes.domain(), voucherClaims, _channelIds(voucherClaims));
    }

    // --- helpers ---

    /// Books each voucher's growth. The receivers' totals are written once per run of claims for the same receiver
    /// and token, which is the whole batch in practice.
    function _claim(VoucherClaim[] calldata claims, bytes32[] memory channelIds) private {
        bytes32 domain = SettlementTypes.domain();
        address receiver;
        address token;
        uint128 sum;
        for (uint256 i = 0; i < claims.length; ++i) {
            ChannelConfig calldata config = claims[i].voucher.channel;
            if (config.receiver != receiver || config.token != token) {
                if (sum != 0) receivers[receiver][token].totalClaimed += sum;
                (receiver, token, sum) = (config.receiver, config.token, 0);
            }
            sum += _bookClaim(claims[i], channelIds[i], domain);
        }
        if (sum != 0) receivers[receiver][token].totalClaimed += sum;
    }

    /// Returns by how much the channel's total grew. A total that does not grow is left alone: x402's clients send
    /// such claims before each refund.
    function _bookClaim(VoucherClaim calldata item, bytes32 channelId, bytes32 domain)
        private
        returns (uint128 growth)
    {
        Channel storage channel = channels[channelId];
        uint128 total = item.totalClaimed;
        uint128 claimed = channel.totalClaimed;
        if (total <= claimed) return 0;
        Voucher calldata voucher = item.voucher;
        if (total > voucher.maxClaimableAmount) revert ExceedsVoucher(channelId, total, voucher.maxClaimableAmount);
        if (total > channel.balance) revert ExceedsBalance(channelId, total, channel.balance);

        ChannelConfig calldata config = voucher.channel;
        bytes32 digest = SettlementTypes.voucherDigest(domain, channelId, voucher.maxClaimableAmount);
        if (config.payerAuthorizer == address(0)) {
            _checkSignature(config.payer, digest, item.signature);
        } else if (ECDSA.recoverCalldata(digest, item.signature) != config.payerAuthorizer) {
            revert BadSignature();
        }
        growth = total - claimed;
        channel.totalClaimed = total;
        emit Claimed(channelId, config.payer, config.receiver, growth, total);
    }

    function _refund(ChannelConfig calldata config, bytes32 channelId, uint128 amount) private {
        uint128 available = _available(channelId);
        if (amount > available) amount = available;
        if (amount == 0) revert NothingToRefund(channelId);
        // A withdrawal that no longer has anything to take is over. A partial refund leaves its clock running:
        // else a receiver could hold a payer's money by refunding one unit at a time.
        if (amount == available && pendingWithdrawals[channelId].initiatedAt != 0) {
            delete pendingWithdrawals[channelId];
        }
        emit Refunded(channelId, config.payer, config.receiver, amount);
        _giveBack(config, channelId, amount);
    }

    function _giveBack(ChannelConfig calldata config, bytes32 channelId, uint128 amount) private {
        channels[channelId].balance -= amount;
        SafeERC20.safeTransfer(IERC20(config.token), config.payer, amount);
    }

    function _available(bytes32 channelId) private view returns (uint128) {
        Channel storage channel = channels[channelId];
        return channel.balance - channel.totalClaimed;
    }

    function _channelIds(VoucherClaim[] calldata claims) private view returns (bytes32[] memory channelIds) {
        bytes32 domain = SettlementTypes.domain();
        channelIds = new bytes32[](claims.length);
        for (uint256 i = 0; i < claims.length; ++i) {
            channelIds[i] = SettlementTypes.channelId(domain, claims[i].voucher.channel);
        }
    }

    function _checkConfig(ChannelConfig calldata config) private pure {
        if (
            config.payer == address(0) || config.receiver == address(0) || config.receiverAuthorizer == address(0)
                || config.token == address(0)
        ) revert ZeroValue();
        uint40 delay = config.withdrawDelay;
        if (delay < MIN_WITHDRAW_DELAY || delay > MAX_WITHDRAW_DELAY) {
            revert BadWithdrawDelay(delay, MIN_WITHDRAW_DELAY, MAX_WITHDRAW_DELAY);
        }
    }

    function _checkSignature(address signer, bytes32 digest, bytes calldata signature) private view {
        if (!SignatureChecker.isValidSignatureNowCalldata(signer, digest, signature)) revert BadSignature();
    }

    function _onlyPayer(ChannelConfig calldata config) private view {
        if (msg.sender != config.payer && msg.sender != config.payerAuthorizer) revert NotPayer(msg.sender);
    }

    function _onlyReceiver(ChannelConfig calldata config) private view {
        if (msg.sender != config.receiver && msg.sender != config.receiverAuthorizer) revert NotReceiver(msg.sender);
    }
}
