// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// Unidirectional payment channels as x402's scheme `batch-settlement` has them: one deposit, cumulative vouchers,
/// batched claims. Function selectors and typed data are x402's, so its stock clients work unchanged.
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

    event ChannelOpened(
        bytes32 indexed channelId, address indexed payer, address indexed receiver, ChannelConfig config
    );
    event Deposited(
        bytes32 indexed channelId, address indexed payer, address indexed receiver, uint128 amount, uint128 balance
    );
    event Claimed(
        bytes32 indexed channelId, address indexed payer, address indexed receiver, uint128 amount, uint128 totalClaimed
    );
    event Settled(address indexed receiver, address indexed token, address indexed sender, uint128 amount);
    event WithdrawInitiated(
        bytes32 indexed channelId, address indexed payer, address indexed receiver, uint128 amount, uint40 readyAt
    );
    event Withdrawn(bytes32 indexed channelId, address indexed payer, address indexed receiver, uint128 amount);
    event Refunded(bytes32 indexed channelId, address indexed payer, address indexed receiver, uint128 amount);

    error ZeroValue();
    error BadWithdrawDelay(uint40 given, uint40 minimum, uint40 maximum);
    error BadSignature();
    error NotReceiver(address caller);
    error NotPayer(address caller);
    error MixedAuthorizers();
    error ExceedsVoucher(bytes32 channelId, uint128 total, uint128 signed);
    error ExceedsBalance(bytes32 channelId, uint128 asked, uint128 available);
    error NothingToSettle();
    error NothingToRefund(bytes32 channelId);
    error NoWithdrawal(bytes32 channelId);
    error WithdrawalNotReady(uint256 readyAt);
    error WrongRefundNonce(uint256 expected, uint256 given);

    /// Adds `amount` to the channel; `collector` moves the tokens here and `collectorData` is what it needs for that.
    function deposit(ChannelConfig calldata config, uint128 amount, address collector, bytes calldata collectorData)
        external;

    /// Books vouchers for their receiver. By the receiver or its authorizer; moves no tokens.
    function claim(VoucherClaim[] calldata voucherClaims) external;

    /// As `claim`, by anyone with the signature of the one receiverAuthorizer of all these channels.
    function claimWithSignature(VoucherClaim[] calldata voucherClaims, bytes calldata authorizerSignature) external;

    /// Pays the receiver all that was claimed for it and not paid yet. Anyone may call.
    function settle(address receiver, address token) external;

    /// By the payer or its authorizer: starts the clock after which unclaimed deposit may leave.
    function initiateWithdraw(ChannelConfig calldata config, uint128 amount) external;

    /// Pays the payer what it asked for, or what is left unclaimed if that is less.
    function finalizeWithdraw(ChannelConfig calldata config) external;

    /// By the receiver or its authorizer: gives unclaimed deposit back at once, at most what there is.
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
