// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {BatchSettlement} from "../src/BatchSettlement.sol";
import {DepinToken} from "../src/DepinToken.sol";
import {ERC3009DepositCollector} from "../src/ERC3009DepositCollector.sol";
import {IBatchSettlement} from "../src/interfaces/IBatchSettlement.sol";
import {signed, vm} from "../test/support/Vm.sol";

/// A plain token; its authorised transfers check nothing and note nothing, as in x402's own measurement.
contract CarelessToken is ERC20("Careless", "CRL") {
    constructor(address holder) {
        _mint(holder, 1e30);
    }

    function receiveWithAuthorization(address from, address to, uint256 value, uint256, uint256, bytes32, bytes memory)
        external
    {
        _transfer(from, to, value);
    }
}

contract PullCollector {
    function collect(address payer, address token, uint256 amount, bytes32, bytes calldata) external {
        ERC20(token).transferFrom(payer, msg.sender, amount);
    }
}

/// The same operations that x402's repository measures (contracts/evm/snapshots/X402BatchSettlementGasTest.json), under
/// the same settings: 200 optimiser runs, no via-IR, no isolation, so that a test is one transaction with warm slots
/// and neither base cost nor calldata. None may cost more than theirs.
contract X402GasTest {
    address private constant SETTLEMENT = 0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003;
    address private constant COLLECTOR = 0x4020806089470a89826cB9fB1f4059150b550004;
    uint256 private constant PAYER_KEY = 0xAA01;
    uint256 private constant PAYER_AUTHORIZER_KEY = 0xAA02;
    uint256 private constant RECEIVER_AUTHORIZER_KEY = 0xAA03;
    uint128 private constant DEPOSIT = 1000e6;
    uint128 private constant CLAIM = 100e6;

    address private payer = vm.addr(PAYER_KEY);
    address private receiver = address(0xBEEF);
    address private authorizer = vm.addr(RECEIVER_AUTHORIZER_KEY);
    BatchSettlement private settlement = BatchSettlement(SETTLEMENT);
    CarelessToken private token;
    PullCollector private pull;

    function setUp() public {
        vm.warp(1_000_000);
        vm.etch(SETTLEMENT, address(new BatchSettlement()).code);
        vm.etch(COLLECTOR, address(new ERC3009DepositCollector()).code);
        token = new CarelessToken(payer);
        pull = new PullCollector();
        vm.prank(payer);
        token.approve(address(pull), type(uint256).max);
    }

    function config(address coin, bytes32 salt) private view returns (IBatchSettlement.ChannelConfig memory) {
        return IBatchSettlement.ChannelConfig({
            payer: payer,
            payerAuthorizer: vm.addr(PAYER_AUTHORIZER_KEY),
            receiver: receiver,
            receiverAuthorizer: authorizer,
            token: coin,
            withdrawDelay: 1 hours,
            salt: salt
        });
    }

    function depositByPull(IBatchSettlement.ChannelConfig memory channel) private {
        vm.prank(payer);
        settlement.deposit(channel, DEPOSIT, address(pull), "");
    }

    function claims(uint256 count) private returns (IBatchSettlement.VoucherClaim[] memory batch) {
        batch = new IBatchSettlement.VoucherClaim[](count);
        for (uint256 i = 0; i < count; ++i) {
            IBatchSettlement.ChannelConfig memory channel = config(address(token), bytes32(i + 1));
            depositByPull(channel);
            bytes32 digest = settlement.getVoucherDigest(settlement.getChannelId(channel), CLAIM);
            batch[i] = IBatchSettlement.VoucherClaim(
                IBatchSettlement.Voucher(channel, CLAIM), signed(PAYER_AUTHORIZER_KEY, digest), CLAIM
            );
        }
    }

    function record(string memory name, uint256 theirs) private {
        uint256 gas = vm.snapshotGasLastCall("x402", name);
        if (theirs != 0) vm.assertLe(gas, theirs, name);
    }

    function test_Gas_transfer() public {
        vm.prank(payer);
        token.transfer(receiver, DEPOSIT);
        record("ERC-20 transfer", 0);
    }

    function test_Gas_depositByPull() public {
        depositByPull(config(address(token), 0));
        record("deposit by pull, first", 84_770);
    }

    function test_Gas_depositByErc3009() public {
        IBatchSettlement.ChannelConfig memory channel = config(address(token), 0);
        bytes memory data = abi.encode(uint256(0), type(uint256).max, uint256(7), new bytes(64));
        vm.prank(payer);
        settlement.deposit(channel, DEPOSIT, COLLECTOR, data);
        record("deposit by ERC-3009, first", 111_738);
    }

    /// x402 has no figure for a token that really checks the signature and uses up the nonce; ours does both.
    function test_Gas_depositOfOurToken() public {
        DepinToken ours = new DepinToken(payer, 1e27, payer);
        IBatchSettlement.ChannelConfig memory channel = config(address(ours), 0);
        bytes32 nonce = keccak256(abi.encode(settlement.getChannelId(channel), uint256(7)));
        bytes32 typeHash = keccak256(
            "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
        );
        bytes32 structHash =
            keccak256(abi.encode(typeHash, payer, COLLECTOR, uint256(DEPOSIT), uint256(0), type(uint256).max, nonce));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", ours.DOMAIN_SEPARATOR(), structHash));
        bytes memory data = abi.encode(uint256(0), type(uint256).max, uint256(7), signed(PAYER_KEY, digest));
        vm.prank(payer);
        settlement.deposit(channel, DEPOSIT, COLLECTOR, data);
        record("deposit by ERC-3009 of our token, first", 0);
    }

    function test_Gas_claimOne() public {
        IBatchSettlement.VoucherClaim[] memory batch = claims(1);
        vm.prank(authorizer);
        settlement.claim(batch);
        record("claim 1 voucher", 40_252);
    }

    function test_Gas_claimTen() public {
        IBatchSettlement.VoucherClaim[] memory batch = claims(10);
        vm.prank(authorizer);
        settlement.claim(batch);
        record("claim 10 vouchers", 192_043);
    }

    function test_Gas_settle() public {
        IBatchSettlement.VoucherClaim[] memory batch = claims(1);
        vm.prank(authorizer);
        settlement.claim(batch);
        settlement.settle(receiver, address(token));
        record("settle", 31_204);
    }

    function test_Gas_refund() public {
        IBatchSettlement.ChannelConfig memory channel = config(address(token), 0);
        depositByPull(channel);
        vm.prank(authorizer);
        settlement.refund(channel, DEPOSIT);
        record("refund", 43_859);
    }

    function test_Gas_refundWithSignature() public {
        IBatchSettlement.ChannelConfig memory channel = config(address(token), 0);
        depositByPull(channel);
        bytes32 digest = settlement.getRefundDigest(settlement.getChannelId(channel), 0, DEPOSIT);
        settlement.refundWithSignature(channel, DEPOSIT, 0, signed(RECEIVER_AUTHORIZER_KEY, digest));
        record("refundWithSignature", 53_670);
    }
}
