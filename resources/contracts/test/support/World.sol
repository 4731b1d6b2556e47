// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Deals, Registry, Settlement, Token} from "./Deployed.sol";
import {IBatchSettlement} from "../../src/interfaces/IBatchSettlement.sol";
import {IStorageDeals} from "../../src/interfaces/IStorageDeals.sol";
import {signed, vm} from "./Vm.sol";

/// Everything deployed as the application deploys it, with one customer, one provider, and their signatures.
abstract contract World {
    uint256 internal constant CUSTOMER_KEY = 0xC0;
    uint256 internal constant OPERATOR_KEY = 0x0B;
    uint256 internal constant SPENDER_KEY = 0x5E;
    uint256 internal constant FIRST_SUPPLY = 400_000_000e18;
    uint128 internal constant MIN_STAKE = 100e18;
    uint64 internal constant THAW = 7 days;
    uint64 internal constant PERIOD = 1 hours;
    uint64 internal constant WINDOW = 10 minutes;
    uint256 internal constant START = 1_800_000_000;
    address internal constant SETTLEMENT = 0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003;
    address internal constant COLLECTOR = 0x4020806089470a89826cB9fB1f4059150b550004;

    address internal customer = vm.addr(CUSTOMER_KEY);
    address internal operator = vm.addr(OPERATOR_KEY);
    address internal spender = vm.addr(SPENDER_KEY);
    address internal provider = address(0xA11CE);
    address internal payout = address(0xBA4C);
    address internal stranger = address(0x57A);
    address internal beneficiary = address(0xBEF);

    Token internal token;
    Registry internal registry;
    Deals internal deals;
    Settlement internal settlement;

    function setUp() public virtual {
        vm.warp(START);
        // By name, not by `new`: the code under test is compiled once, not again inside each test contract.
        token = Token(vm.deployCode("DepinToken.sol:DepinToken", abi.encode(address(this), FIRST_SUPPLY, beneficiary)));
        registry = Registry(
            vm.deployCode(
                "ProviderRegistry.sol:ProviderRegistry", abi.encode(address(token), MIN_STAKE, THAW, address(this))
            )
        );
        deals = Deals(
            vm.deployCode(
                "StorageDeals.sol:StorageDeals",
                abi.encode(address(token), address(registry), uint64(START), PERIOD, WINDOW, address(0))
            )
        );
        registry.setSlasher(address(deals), true);
        vm.etch(SETTLEMENT, vm.getDeployedCode("BatchSettlement.sol:BatchSettlement"));
        vm.etch(COLLECTOR, vm.getDeployedCode("ERC3009DepositCollector.sol:ERC3009DepositCollector"));
        settlement = Settlement(SETTLEMENT);
        token.transfer(customer, 1_000_000e18);
        token.transfer(spender, 1_000_000e18);
        enrol(provider, operator, payout, bytes32("node"), 10 * MIN_STAKE);
    }

    // --- providers ---

    function enrol(address owner, address operator_, address payout_, bytes32 node, uint128 stake) internal {
        token.transfer(owner, stake);
        vm.prank(owner);
        token.approve(address(registry), stake);
        vm.prank(owner);
        registry.register(operator_, payout_, node, stake);
    }

    // --- time ---

    function period() internal view returns (uint64) {
        return deals.currentPeriod();
    }

    function toWindow() internal {
        vm.warp(START + (uint256(period()) + 1) * PERIOD - WINDOW);
    }

    function toNextPeriod() internal {
        vm.warp(START + (uint256(period()) + 1) * PERIOD);
    }

    // --- token ---

    function authorization(uint256 key, address to, uint256 value, uint256 before, bytes32 nonce)
        internal
        view
        returns (bytes memory)
    {
        bytes32 typeHash = keccak256(
            "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
        );
        bytes32 structHash = keccak256(abi.encode(typeHash, vm.addr(key), to, value, uint256(0), before, nonce));
        return signed(key, digest(token.DOMAIN_SEPARATOR(), structHash));
    }

    function digest(bytes32 domain, bytes32 structHash) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    function domainOf(string memory name, address target) internal view returns (bytes32) {
        bytes32 typeHash =
            keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        return keccak256(abi.encode(typeHash, keccak256(bytes(name)), keccak256("1"), block.chainid, target));
    }

    // --- channels ---

    function channel(bytes32 salt) internal view returns (IBatchSettlement.ChannelConfig memory) {
        return IBatchSettlement.ChannelConfig({
            payer: spender,
            payerAuthorizer: spender,
            receiver: payout,
            receiverAuthorizer: operator,
            token: address(token),
            withdrawDelay: 1 hours,
            salt: salt
        });
    }

    function depositData(bytes32 channelId, uint256 amount, uint256 salt) internal view returns (bytes memory) {
        uint256 validBefore = block.timestamp + 1 hours;
        bytes32 nonce = keccak256(abi.encode(channelId, salt));
        return
            abi.encode(uint256(0), validBefore, salt, authorization(SPENDER_KEY, COLLECTOR, amount, validBefore, nonce));
    }

    function deposit(IBatchSettlement.ChannelConfig memory config, uint128 amount, uint256 salt) internal {
        settlement.deposit(config, amount, COLLECTOR, depositData(settlement.getChannelId(config), amount, salt));
    }

    function voucher(IBatchSettlement.ChannelConfig memory config, uint128 ceiling, uint128 total)
        internal
        view
        returns (IBatchSettlement.VoucherClaim memory)
    {
        bytes32 id = settlement.getChannelId(config);
        return IBatchSettlement.VoucherClaim(
            IBatchSettlement.Voucher(config, ceiling),
            signed(SPENDER_KEY, settlement.getVoucherDigest(id, ceiling)),
            total
        );
    }

    function claims(IBatchSettlement.VoucherClaim memory one)
        internal
        pure
        returns (IBatchSettlement.VoucherClaim[] memory batch)
    {
        batch = new IBatchSettlement.VoucherClaim[](1);
        batch[0] = one;
    }

    // --- storage deals ---

    function terms(uint128 price, uint64 expires, bytes32 salt) internal view returns (IStorageDeals.Terms memory) {
        return IStorageDeals.Terms(customer, provider, price, expires, salt);
    }

    function dealDigest(bytes32 structHash) internal view returns (bytes32) {
        return digest(domainOf("DePIN StorageDeals", address(deals)), structHash);
    }

    function signTerms(IStorageDeals.Terms memory t) internal view returns (bytes memory) {
        bytes32 typeHash =
            keccak256("Terms(address customer,address provider,uint128 price,uint64 expires,bytes32 salt)");
        bytes32 structHash = keccak256(abi.encode(typeHash, t.customer, t.provider, t.price, t.expires, t.salt));
        return signed(CUSTOMER_KEY, dealDigest(structHash));
    }

    function signAdd(bytes32 setId, uint64 first, IStorageDeals.Piece[] memory pieces)
        internal
        view
        returns (bytes memory)
    {
        bytes32 typeHash = keccak256("AddPieces(bytes32 setId,uint64 firstPieceId,bytes32 piecesHash)");
        bytes32 structHash = keccak256(abi.encode(typeHash, setId, first, keccak256(abi.encode(pieces))));
        return signed(CUSTOMER_KEY, dealDigest(structHash));
    }

    function signRemovals(bytes32 setId, uint64[] memory ids) internal view returns (bytes memory) {
        bytes32 typeHash = keccak256("ScheduleRemovals(bytes32 setId,bytes32 pieceIdsHash)");
        return signed(CUSTOMER_KEY, dealDigest(keccak256(abi.encode(typeHash, setId, keccak256(abi.encode(ids))))));
    }

    function signTerminate(bytes32 setId) internal view returns (bytes memory) {
        return signed(CUSTOMER_KEY, dealDigest(keccak256(abi.encode(keccak256("Terminate(bytes32 setId)"), setId))));
    }

    function openSet(uint128 price, bytes32 salt) internal returns (bytes32) {
        IStorageDeals.Terms memory t = terms(price, uint64(START + 365 days), salt);
        return deals.open(t, signTerms(t));
    }

    function fundSet(bytes32 setId, uint128 amount, bytes32 salt) internal {
        uint256 validBefore = block.timestamp + 1 hours;
        bytes32 nonce = keccak256(abi.encode(setId, salt));
        deals.fund(
            setId, amount, 0, validBefore, salt, authorization(CUSTOMER_KEY, address(deals), amount, validBefore, nonce)
        );
    }

    function addPieces(bytes32 setId, IStorageDeals.Piece[] memory pieces) internal {
        uint64 first = deals.dataSet(setId).pieceCount;
        bytes memory signature = signAdd(setId, first, pieces);
        vm.prank(operator);
        deals.add(setId, pieces, first, signature);
    }

    function prove(bytes32 setId, bytes memory data) internal {
        proveAs(operator, bytes.concat(bytes16(setId), data));
    }

    /// Sends `proofs`, packed as `prove` takes them.
    function proveAs(address sender, bytes memory proofs) internal {
        vm.prank(sender);
        (bool proven, bytes memory why) = address(deals).call(bytes.concat(deals.prove.selector, proofs));
        if (!proven) {
            assembly ("memory-safe") {
                revert(add(why, 32), mload(why))
            }
        }
    }

    function list(uint64 one) internal pure returns (uint64[] memory ids) {
        ids = new uint64[](1);
        ids[0] = one;
    }
}
