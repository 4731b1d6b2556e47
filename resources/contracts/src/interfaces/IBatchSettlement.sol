// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// Unidirectional payment channels as x402's scheme `batch-settlement` has them: one deposit, cumulative vouchers,
/// batched claims. Functions, events, errors and typed data are those of x402's own contract: its stock clients work
/// unchanged, and what reads our chain reads any chain that carries theirs.
interface IBatchSettlement {
    /// A channel's identity; its EIP-712 digest is the channel id.
    struct ChannelConfig {
        address payer;
        address payerAuthorizer; // hot key that signs vouchers; zero: the payer itself, which may be a contract
        address receiver;
        address receiverAuthorizer; // may claim and refund for the receiver
        address token;
        uint40 withdrawDelay; // seconds that the receiver has to claim once the payer wants out
        bytes32 salt;
    }

    struct Voucher {
        ChannelConfig channel;
        uint128 maxClaimableAmount; // cumulative, over the channel's whole life
    }

    struct VoucherClaim {
        Voucher voucher;
        bytes signature;
        uint128 totalClaimed; // cumulative total to book now; at most the voucher's
    }

    event ChannelCreated(bytes32 indexed channelId, ChannelConfig config);
    event ChannelClosed(bytes32 indexed channelId, ChannelConfig config); // emptied before anything was ever claimed
    event Deposited(bytes32 indexed channelId, address indexed sender, uint128 amount, uint128 newBalance);
    event Claimed(bytes32 indexed channelId, address indexed sender, uint128 claimAmount, uint128 newTotalClaimed);
    event Settled(address indexed receiver, address indexed token, address indexed sender, uint128 amount);
    event WithdrawInitiated(bytes32 indexed channelId, uint128 amount, uint40 finalizeAfter);
    event WithdrawFinalized(bytes32 indexed channelId, address indexed sender, uint128 amount);
    event Refunded(bytes32 indexed channelId, address indexed sender, uint128 amount);

    error InvalidChannel(); // a zero in the config, or the caller is not the payer's side
    error WithdrawDelayOutOfRange();
    error ZeroDeposit();
    error DepositOverflow();
    error InvalidCollector();
    error DepositCollectionFailed();
    error EmptyBatch();
    error InvalidSignature();
    error NotAuthorizedToClaim();
    error NotReceiverAuthorizer(); // the batch mixes authorizers
    error ClaimExceedsCeiling();
    error ClaimExceedsBalance();
    error NotAuthorizedToRefund();
    error ZeroRefund();
    error InvalidRefundNonce();
    error NothingToWithdraw();
    error WithdrawAmountExceedsAvailable();
    error WithdrawalAlreadyPending();
    error WithdrawalNotPending();
    error WithdrawDelayNotElapsed();
    error NotAuthorizedToFinalizeWithdraw();

    /// Adds `amount` to the channel; `collector` moves the tokens here and `collectorData` is what it needs for that.
    function deposit(ChannelConfig calldata config, uint128 amount, address collector, bytes calldata collectorData)
        external;

    /// Books vouchers for their receiver. By the receiver or its authorizer; moves no tokens.
    function claim(VoucherClaim[] calldata voucherClaims) external;

    /// As `claim`, by anyone with the signature of the one receiverAuthorizer of all these channels.
    function claimWithSignature(VoucherClaim[] calldata voucherClaims, bytes calldata authorizerSignature) external;

    /// Pays the receiver all that was claimed for it and not paid yet; nothing happens if there is nothing. By anyone.
    function settle(address receiver, address token) external;

    /// By the payer or its authorizer: starts the clock after which unclaimed deposit may leave. One at a time.
    function initiateWithdraw(ChannelConfig calldata config, uint128 amount) external;

    /// Pays the payer what it asked for, or what is left unclaimed if that is less.
    function finalizeWithdraw(ChannelConfig calldata config) external;

    /// By the receiver or its authorizer: gives unclaimed deposit back at once, at most what there is. Counts as a
    /// refund with signature does: it spends the channel's refund nonce.
    function refund(ChannelConfig calldata config, uint128 amount) external;

    function refundWithSignature(
        ChannelConfig calldata config,
        uint128 amount,
        uint256 nonce,
        bytes calldata receiverAuthorizerSignature
    ) external;

    /// `balance`: all that was deposited less what went back to the payer; claimed amounts stay in it.
    function channels(bytes32 channelId) external view returns (uint128 balance, uint128 totalClaimed);
    function pendingWithdrawals(bytes32 channelId) external view returns (uint128 amount, uint40 initiatedAt);
    function receivers(address receiver, address token)
        external
        view
        returns (uint128 totalClaimed, uint128 totalSettled);
    function refundNonce(bytes32 channelId) external view returns (uint256);

    function getChannelId(ChannelConfig calldata config) external view returns (bytes32);
    function getVoucherDigest(bytes32 channelId, uint128 maxClaimableAmount) external view returns (bytes32);
    function getRefundDigest(bytes32 channelId, uint256 nonce, uint128 amount) external view returns (bytes32);
    function getClaimBatchDigest(VoucherClaim[] calldata voucherClaims) external view returns (bytes32);
}
