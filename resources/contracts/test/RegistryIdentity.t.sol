// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Registry} from "./support/Deployed.sol";
import {IProviderRegistry} from "../src/interfaces/IProviderRegistry.sol";
import {IStorageDeals} from "../src/interfaces/IStorageDeals.sol";
import {signed, vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// Who acts for a provider, what it says of itself, and how wallets change.
contract RegistryIdentityTest is World {
    address private constant NEW = address(0x2E3);
    uint64 private constant VIENNA = 0x851e15b7fffffff; // H3, resolution 5

    function handOver(address to) private {
        vm.prank(registry.ownerOf(provider));
        registry.proposeOwner(to);
        vm.prank(to);
        registry.acceptOwner(provider);
    }

    // --- another wallet ---

    function test_AProviderMovesToAnotherWalletAndKeepsItsName() public {
        vm.expectEmit(address(registry));
        emit IProviderRegistry.OwnerProposed(provider, NEW);
        vm.prank(provider);
        registry.proposeOwner(NEW);
        vm.assertEq(registry.ownerOf(provider), provider); // nothing has happened yet
        vm.expectEmit(address(registry));
        emit IProviderRegistry.OwnerChanged(provider, NEW);
        vm.prank(NEW);
        registry.acceptOwner(provider);

        vm.assertEq(registry.ownerOf(provider), NEW);
        vm.assertEq(registry.providerOf(NEW), provider);
        vm.assertEq(registry.providerOf(provider), address(0));
        vm.assertEq(registry.provider(provider).owner, NEW);
        vm.assertEq(registry.ownerOfOperator(operator), provider);
        vm.assertEq(registry.ownerOfNode("node"), provider);
        vm.assertTrue(registry.isActive(provider));
    }

    function test_TheOldWalletCanDoNothingAfterwards() public {
        handOver(NEW);
        bytes memory refusal = abi.encodeWithSelector(IProviderRegistry.NotRegistered.selector, provider);
        bytes[5] memory calls = [
            abi.encodeCall(registry.setPayout, (provider)),
            abi.encodeCall(registry.setOperator, (provider)),
            abi.encodeCall(registry.requestUnstake, (1)),
            abi.encodeCall(registry.proposeOwner, (provider)),
            abi.encodeCall(registry.describe, (1, 0))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(provider);
            (bool done, bytes memory reason) = address(registry).call(calls[i]);
            vm.assertFalse(done);
            vm.assertEq(reason, refusal);
        }
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.AlreadyRegistered.selector, provider));
        registry.register(address(1), payout, "other", MIN_STAKE);
    }

    function test_TheNewWalletGetsTheStake() public {
        handOver(NEW);
        vm.prank(NEW);
        registry.requestUnstake(10 * MIN_STAKE);
        vm.warp(START + THAW);
        vm.prank(NEW);
        registry.unstake();
        vm.assertEq(token.balanceOf(NEW), 10 * MIN_STAKE);
    }

    function test_OnlyTheProposedWalletTakesOverAndAProposalCanBeTakenBack() public {
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.NotProposed.selector, stranger));
        registry.acceptOwner(provider);
        vm.prank(provider);
        registry.proposeOwner(NEW);
        vm.prank(provider);
        registry.proposeOwner(address(0));
        vm.prank(NEW);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.NotProposed.selector, NEW));
        registry.acceptOwner(provider);
    }

    function test_AWalletActsForOneProvider() public {
        enrol(NEW, address(11), payout, "one", MIN_STAKE);
        vm.prank(provider);
        registry.proposeOwner(NEW);
        vm.prank(NEW);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.AlreadyRegistered.selector, NEW));
        registry.acceptOwner(provider);
    }

    function test_DealsAndEarningsGoOnAcrossAChangeOfWallet() public {
        bytes32 setId = openSet(1e9, "set");
        handOver(NEW);
        IStorageDeals.Piece[] memory pieces = new IStorageDeals.Piece[](1);
        pieces[0] = IStorageDeals.Piece("root", 1);
        addPieces(setId, pieces); // by the same operator
        vm.prank(NEW);
        registry.setOperator(NEW);
        vm.assertEq(registry.ownerOfOperator(NEW), provider);
    }

    // --- what it says of itself ---

    function test_AProviderMaySayWhatItOffersAndAboutWhere() public {
        vm.assertEq(registry.provider(provider).services, 0);
        vm.assertEq(registry.provider(provider).cell, 0);
        vm.expectEmit(address(registry));
        emit IProviderRegistry.Described(provider, 3, VIENNA);
        vm.prank(provider);
        registry.describe(3, VIENNA);
        vm.assertEq(registry.provider(provider).services, 3);
        vm.assertEq(registry.provider(provider).cell, VIENNA);
        vm.prank(provider);
        registry.describe(0, 0);
        vm.assertEq(registry.provider(provider).cell, 0);
    }

    function test_APreciseOrFalseLocationIsRefused() public {
        uint64[6] memory bad = [
            0x871e15b4affffff, // resolution 7: a neighbourhood
            VIENNA & ~uint64(7), // resolution 5, and more hidden in the last digit
            VIENNA | (1 << 63), // the reserved bit
            0x1051e15b7fffffff, // an edge, no cell
            0x85f415b7fffffff, // no such base cell
            0x851e17b7fffffff // no such digit
        ];
        for (uint256 i = 0; i < bad.length; ++i) {
            vm.prank(provider);
            vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.BadCell.selector, bad[i]));
            registry.describe(1, bad[i]);
        }
        vm.prank(provider);
        registry.describe(1, 0x801ffffffffffff); // resolution 0, coarser still
    }

    function test_APageOfProvidersIsBounded() public view {
        vm.assertEq(registry.MAX_PAGE(), 512);
        vm.assertEq(registry.owners(0, type(uint256).max).length, 1);
    }

    // --- permits ---

    function test_OnePermitAndOneTransactionRegister() public {
        address owner = vm.addr(0xF00);
        token.transfer(owner, MIN_STAKE);
        bytes[] memory calls = permitAndRegister(owner);
        vm.prank(owner);
        registry.multicall(calls);
        vm.assertEq(registry.provider(owner).stake, MIN_STAKE);
    }

    function test_APermitThatSomebodyElseSentFirstChangesNothing() public {
        address owner = vm.addr(0xF00);
        token.transfer(owner, MIN_STAKE);
        bytes[] memory calls = permitAndRegister(owner);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(0xF00, permitDigest(owner));
        vm.prank(stranger);
        token.permit(owner, address(registry), MIN_STAKE, START + 1 hours, v, r, s);
        vm.prank(owner);
        registry.multicall(calls);
        vm.assertEq(registry.provider(owner).stake, MIN_STAKE);
    }

    function permitDigest(address owner) private view returns (bytes32) {
        bytes32 typeHash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 structHash =
            keccak256(abi.encode(typeHash, owner, address(registry), uint256(MIN_STAKE), 0, START + 1 hours));
        return digest(token.DOMAIN_SEPARATOR(), structHash);
    }

    function permitAndRegister(address owner) private view returns (bytes[] memory calls) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(0xF00, permitDigest(owner));
        calls = new bytes[](2);
        calls[0] = abi.encodeCall(registry.permit, (MIN_STAKE, START + 1 hours, v, r, s));
        calls[1] = abi.encodeCall(registry.register, (address(11), owner, "one", MIN_STAKE));
    }
}
