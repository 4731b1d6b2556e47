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

    /// Claims of one batch that are not written to their receiver yet.
    struct Tally {
        address receiver;
        address token;
        uint128 sum;
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
        if (amount == 0) revert ZeroDeposit();
        if (collector == address(0)) revert InvalidCollector();
        bytes32 channelId = getChannelId(config);
        Channel storage channel = channels[channelId];
        uint128 held = channel.balance;
        if (amount > type(uint128).max - held) revert DepositOverflow();

        IERC20 token = IERC20(config.token);
        uint256 before = token.balanceOf(address(this));
        // The collector is whoever the caller names: only the balance decides whether it did its work.
        IDepositCollector(collector).collect(config.payer, config.token, amount, channelId, collectorData);
        if (token.balanceOf(address(this)) != before + amount) revert DepositCollectionFailed();

        if (held == 0 && channel.totalClaimed == 0) emit ChannelCreated(channelId, config);
        channel.balance = held + amount;
        emit Deposited(channelId, msg.sender, amount, held + amount);
    }

    function initiateWithdraw(ChannelConfig calldata config, uint128 amount) external {
        if (!_isPayer(config)) revert InvalidChannel();
        if (amount == 0) revert NothingToWithdraw();
        bytes32 channelId = getChannelId(config);
        if (pendingWithdrawals[channelId].initiatedAt != 0) revert WithdrawalAlreadyPending();
        if (amount > _available(channelId)) revert WithdrawAmountExceedsAvailable();
        uint40 time = uint40(block.timestamp);
        pendingWithdrawals[channelId] = Withdrawal(amount, time);
        emit WithdrawInitiated(channelId, amount, time + config.withdrawDelay);
    }

    function finalizeWithdraw(ChannelConfig calldata config) external nonReentrant {
        if (!_isPayer(config)) revert NotAuthorizedToFinalizeWithdraw();
        bytes32 channelId = getChannelId(config);
        Withdrawal memory pending = pendingWithdrawals[channelId];
        if (pending.initiatedAt == 0) revert WithdrawalNotPending();
        if (block.timestamp < uint256(pending.initiatedAt) + config.withdrawDelay) revert WithdrawDelayNotElapsed();
        delete pendingWithdrawals[channelId];

        uint128 available = _available(channelId);
        uint128 amount = pending.amount < available ? pending.amount : available;
        emit WithdrawFinalized(channelId, msg.sender, amount);
        _giveBack(config, channelId, amount);
    }

    // --- receiver ---

    function claim(VoucherClaim[] calldata voucherClaims) external {
        if (voucherClaims.length == 0) revert EmptyBatch();
        bytes32 domain = SettlementTypes.domain();
        Tally memory tally;
        for (uint256 i = 0; i < voucherClaims.length; ++i) {
            ChannelConfig calldata config = voucherClaims[i].voucher.channel;
            if (!_isReceiver(config)) revert NotAuthorizedToClaim();
            _bookClaim(voucherClaims[i], SettlementTypes.channelId(domain, config), domain, tally);
        }
        _book(tally);
    }

    function claimWithSignature(VoucherClaim[] calldata voucherClaims, bytes calldata authorizerSignature) external {
        if (voucherClaims.length == 0) revert EmptyBatch();
        bytes32 domain = SettlementTypes.domain();
        address authorizer = voucherClaims[0].voucher.channel.receiverAuthorizer;
        bytes32[] memory channelIds = SettlementTypes.channelIds(domain, voucherClaims);
        bytes32 digest = SettlementTypes.claimBatchDigest(domain, voucherClaims, channelIds);
        _checkSignature(authorizer, digest, authorizerSignature);
        Tally memory tally;
        for (uint256 i = 0; i < voucherClaims.length; ++i) {
            if (voucherClaims[i].voucher.channel.receiverAuthorizer != authorizer) revert NotReceiverAuthorizer();
            _bookClaim(voucherClaims[i], channelIds[i], domain, tally);
        }
        _book(tally);
    }

    function settle(address receiver, address token) external nonReentrant {
        Receiver storage account = receivers[receiver][token];
        uint128 amount = account.totalClaimed - account.totalSettled;
        if (amount == 0) return;
        account.totalSettled = account.totalClaimed;
        emit Settled(receiver, token, msg.sender, amount);
        SafeERC20.safeTransfer(IERC20(token), receiver, amount);
    }

    function refund(ChannelConfig calldata config, uint128 amount) external nonReentrant {
        if (!_isReceiver(config)) revert NotAuthorizedToRefund();
        _refund(config, getChannelId(config), amount);
    }

    function refundWithSignature(
        ChannelConfig calldata config,
        uint128 amount,
        uint256 nonce,
        bytes calldata receiverAuthorizerSignature
    ) external nonReentrant {
        bytes32 channelId = getChannelId(config);
        if (nonce != refundNonce[channelId]) revert InvalidRefundNonce();
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
        bytes32 domain = SettlementTypes.domain();
        return SettlementTypes.claimBatchDigest(
            domain, voucherClaims, SettlementTypes.channelIds(domain, voucherClaims)
        );
    }

    // --- helpers ---

    /// Books by how much the channel's total grew. A total that does not grow is left alone: x402's clients send such
    /// claims before each refund.
    function _bookClaim(VoucherClaim calldata item, bytes32 channelId, bytes32 domain, Tally memory tally) private {
        Channel storage channel = channels[channelId];
        uint128 total = item.totalClaimed;
        uint128 claimed = channel.totalClaimed;
        if (total <= claimed) return;
        if (total > item.voucher.maxClaimableAmount) revert ClaimExceedsCeiling();
        if (total > channel.balance) revert ClaimExceedsBalance();
        _checkVoucher(item, SettlementTypes.voucherDigest(domain, channelId, item.voucher.maxClaimableAmount));

        channel.totalClaimed = total;
        emit Claimed(channelId, msg.sender, total - claimed, total);
        _tally(tally, item.voucher.channel, total - claimed);
    }

    /// The receivers' totals are written once per run of claims for the same receiver and token, which is the whole
    /// batch in practice.
    function _tally(Tally memory tally, ChannelConfig calldata config, uint128 growth) private {
        if (config.receiver != tally.receiver || config.token != tally.token) {
            _book(tally);
            (tally.receiver, tally.token, tally.sum) = (config.receiver, config.token, 0);
        }
        tally.sum += growth;
    }

    function _book(Tally memory tally) private {
        if (tally.sum != 0) receivers[tally.receiver][tally.token].totalClaimed += tally.sum;
    }

    function _refund(ChannelConfig calldata config, bytes32 channelId, uint128 amount) private {
        if (amount == 0) revert ZeroRefund();
        ++refundNonce[channelId];
        uint128 available = _available(channelId);
        if (amount > available) amount = available;
        if (amount == 0) return;
        // What was given back need not be withdrawn any more. The clock of the rest runs on: else a receiver could
        // hold a payer's money by refunding one unit at a time.
        Withdrawal storage pending = pendingWithdrawals[channelId];
        if (amount < pending.amount) pending.amount -= amount;
        else if (pending.initiatedAt != 0) delete pendingWithdrawals[channelId];
        emit Refunded(channelId, msg.sender, amount);
        _giveBack(config, channelId, amount);
    }

    function _giveBack(ChannelConfig calldata config, bytes32 channelId, uint128 amount) private {
        Channel storage channel = channels[channelId];
        channel.balance -= amount;
        if (channel.balance == 0 && channel.totalClaimed == 0) emit ChannelClosed(channelId, config);
        if (amount != 0) SafeERC20.safeTransfer(IERC20(config.token), config.payer, amount);
    }

    function _available(bytes32 channelId) private view returns (uint128) {
        Channel storage channel = channels[channelId];
        return channel.balance - channel.totalClaimed;
    }

    function _checkConfig(ChannelConfig calldata config) private pure {
        if (
            config.payer == address(0) || config.receiver == address(0) || config.receiverAuthorizer == address(0)
                || config.token == address(0)
        ) revert InvalidChannel();
        uint40 delay = config.withdrawDelay;
        if (delay < MIN_WITHDRAW_DELAY || delay > MAX_WITHDRAW_DELAY) revert WithdrawDelayOutOfRange();
    }

    function _checkVoucher(VoucherClaim calldata item, bytes32 digest) private view {
        address authorizer = item.voucher.channel.payerAuthorizer;
        if (authorizer == address(0)) _checkSignature(item.voucher.channel.payer, digest, item.signature);
        else if (ECDSA.recoverCalldata(digest, item.signature) != authorizer) revert InvalidSignature();
    }

    function _checkSignature(address signer, bytes32 digest, bytes calldata signature) private view {
        if (!SignatureChecker.isValidSignatureNowCalldata(signer, digest, signature)) revert InvalidSignature();
    }

    function _isPayer(ChannelConfig calldata config) private view returns (bool) {
        return msg.sender == config.payer || msg.sender == config.payerAuthorizer;
    }

    function _isReceiver(ChannelConfig calldata config) private view returns (bool) {
        return msg.sender == config.receiver || msg.sender == config.receiverAuthorizer;
    }
}
