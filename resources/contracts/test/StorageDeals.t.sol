// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IStorageDeals} from "../src/interfaces/IStorageDeals.sol";
import {Trees} from "./support/Trees.sol";
import {signed, signedHigh, vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// Opening, funding, changing and ending data sets.
contract StorageDealsTest is World {
    uint128 private constant PRICE = 1e9;
    bytes32 private id;

    function setUp() public override {
        super.setUp();
        id = openSet(PRICE, "salt");
    }

    function pieces(uint256 count, uint256 leaves) private pure returns (IStorageDeals.Piece[] memory all) {
        all = new IStorageDeals.Piece[](count);
        for (uint256 i = 0; i < count; ++i) {
            all[i] = Trees.piece(i, leaves);
        }
    }

    // --- opening ---

    function test_ASetIsWhatTheCustomerSigned() public view {
        IStorageDeals.DataSet memory set = deals.dataSet(id);
        vm.assertEq(set.customer, customer);
        vm.assertEq(set.provider, provider);
        vm.assertEq(set.price, PRICE);
        vm.assertEq(set.expires, START + 365 days);
        vm.assertEq(set.endsAfter, type(uint64).max);
        vm.assertEq(id, bytes16(keccak256(abi.encode(customer, provider, bytes32("salt")))));
    }

    function test_ASetIsOpenedOnce() public {
        IStorageDeals.Terms memory t = terms(2 * PRICE, uint64(START + 1 days), "salt");
        bytes memory signature = signTerms(t);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.SetExists.selector, id));
        deals.open(t, signature);
    }

    function test_NobodyOpensInAnothersName() public {
        IStorageDeals.Terms memory t = terms(PRICE, uint64(START + 1 days), "new");
        bytes memory signature = signTerms(t);
        t.price -= 1;
        vm.expectRevert(IStorageDeals.BadSignature.selector);
        deals.open(t, signature);
        vm.expectRevert(IStorageDeals.BadSignature.selector);
        deals.open(t, "");
        t.price += 1;
        bytes memory high = signedHigh(CUSTOMER_KEY, termsDigest(t));
        vm.expectRevert(IStorageDeals.BadSignature.selector);
        deals.open(t, high);
        vm.prank(customer); // calling oneself is consent
        deals.open(t, "");
    }

    function termsDigest(IStorageDeals.Terms memory t) private view returns (bytes32) {
        bytes32 typeHash =
            keccak256("Terms(address customer,address provider,uint128 price,uint64 expires,bytes32 salt)");
        return dealDigest(keccak256(bytes.concat(typeHash, abi.encode(t))));
    }

    function test_TermsMustBeAliveAndTheProviderActive() public {
        IStorageDeals.Terms memory t = terms(PRICE, uint64(START), "new");
        bytes memory signature = signTerms(t);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.Expired.selector, START));
        deals.open(t, signature);

        t = terms(PRICE, uint64(START + 1), "new");
        signature = signTerms(t);
        vm.prank(provider);
        registry.requestUnstake(10 * MIN_STAKE);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.ProviderNotActive.selector, provider));
        deals.open(t, signature);
    }

    function test_AnUnknownSetIsSaidToBeUnknown() public {
        bytes memory reason = abi.encodeWithSelector(IStorageDeals.UnknownSet.selector, bytes32("x"));
        vm.expectRevert(reason);
        deals.dataSet("x");
        vm.expectRevert(reason);
        deals.nextAction("x");
        vm.expectRevert(reason);
        deals.fund("x", 1, 0, 0, 0, "");
        vm.expectRevert(reason);
        deals.reportFault("x", 0);
    }

    // --- funding ---

    function test_FundsComeFromTheCustomerByAuthorization() public {
        fundSet(id, 5e18, "a");
        vm.assertEq(deals.dataSet(id).escrow, 5e18);
        vm.assertEq(token.balanceOf(address(deals)), 5e18);
    }

    function test_AFundingAuthorizationIsBoundToItsSet() public {
        bytes32 other = openSet(PRICE, "other");
        bytes32 nonce = keccak256(abi.encode(id, bytes32("a")));
        bytes memory signature = authorization(CUSTOMER_KEY, address(deals), 1e18, START + 60, nonce);
        vm.expectRevert();
        deals.fund(other, 1e18, 0, START + 60, "a", signature);
        deals.fund(id, 1e18, 0, START + 60, "a", signature);
        vm.expectRevert();
        deals.fund(id, 1e18, 0, START + 60, "a", signature);
    }

    // --- adding ---

    function test_BothSidesAgreeToPieces() public {
        IStorageDeals.Piece[] memory added = pieces(3, 5);
        bytes memory signature = signAdd(id, 0, added);
        vm.prank(customer);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.NotOperator.selector, customer));
        deals.add(id, added, 0, signature);
        added[0].leafCount = 4;
        vm.prank(operator);
        vm.expectRevert(IStorageDeals.BadSignature.selector);
        deals.add(id, added, 0, signature);
        added[0].leafCount = 5;
        vm.prank(operator);
        deals.add(id, added, 0, signature);
        vm.assertEq(deals.dataSet(id).leafCount, 15);
        vm.assertEq(deals.dataSet(id).pieceCount, 3);
        (IStorageDeals.Piece memory piece, bool live) = deals.piece(id, 2);
        vm.assertEq(piece.root, added[2].root);
        vm.assertEq(piece.leafCount, 5);
        vm.assertTrue(live);
    }

    function test_AnAddSignatureIsUsedOnce() public {
        IStorageDeals.Piece[] memory added = pieces(2, 1);
        bytes memory signature = signAdd(id, 0, added);
        vm.prank(operator);
        deals.add(id, added, 0, signature);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.WrongFirstPiece.selector, 2, 0));
        deals.add(id, added, 0, signature);
        vm.prank(operator);
        vm.expectRevert(IStorageDeals.BadSignature.selector);
        deals.add(id, added, 2, signature);
    }

    function test_BadPiecesAreNamed() public {
        for (uint256 i = 0; i < 3; ++i) {
            IStorageDeals.Piece[] memory added = pieces(3, 2);
            if (i == 0) added[1].root = 0;
            else added[1].leafCount = i == 1 ? 0 : (1 << 22) + 1;
            bytes memory signature = signAdd(id, 0, added);
            vm.prank(operator);
            vm.expectRevert(abi.encodeWithSelector(IStorageDeals.BadPiece.selector, 1));
            deals.add(id, added, 0, signature);
        }
    }

    function test_CallsAreBounded() public {
        IStorageDeals.Piece[] memory many = new IStorageDeals.Piece[](257);
        bytes memory signature = signAdd(id, 0, many);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.TooMany.selector, 257, 256));
        deals.add(id, many, 0, signature);
    }

    // --- removing ---

    function test_RemovalsWaitForThePeriodsEnd() public {
        addPieces(id, pieces(3, 5));
        bytes memory signature = signRemovals(id, list(1));
        deals.scheduleRemovals(id, list(1), signature);
        vm.assertEq(deals.dataSet(id).leafCount, 15);
        (, bool live) = deals.piece(id, 1);
        vm.assertTrue(live);

        toNextPeriod();
        vm.assertEq(deals.dataSet(id).leafCount, 10);
        vm.assertEq(deals.dataSet(id).challengeRange, 10);
        (, live) = deals.piece(id, 1);
        vm.assertFalse(live);
        fundSet(id, 1, "touch"); // applies it
        vm.assertEq(deals.dataSet(id).leafCount, 10);
        vm.assertEq(deals.dataSet(id).challengeRange, 10);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.PieceGone.selector, 1));
        deals.scheduleRemovals(id, list(1), signature); // a replay does nothing
    }

    function test_APieceIsQueuedOnceAndTheQueueIsBounded() public {
        addPieces(id, pieces(70, 1));
        vm.prank(customer);
        deals.scheduleRemovals(id, list(0), "");
        vm.prank(customer);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.PieceGone.selector, 0));
        deals.scheduleRemovals(id, list(0), "");
        uint64[] memory ids = new uint64[](64);
        for (uint64 i = 0; i < 64; ++i) {
            ids[i] = i + 1;
        }
        vm.prank(customer);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.TooMany.selector, 65, 64));
        deals.scheduleRemovals(id, ids, "");
        vm.prank(customer);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.PieceGone.selector, 70));
        deals.scheduleRemovals(id, list(70), "");
    }

    function test_OnlyTheCustomerRemoves() public {
        addPieces(id, pieces(1, 1));
        bytes memory signature = signed(OPERATOR_KEY, keccak256("anything"));
        vm.prank(operator);
        vm.expectRevert(IStorageDeals.BadSignature.selector);
        deals.scheduleRemovals(id, list(0), signature);
    }

    // --- ending ---

    function test_EitherSideEndsASet() public {
        address[3] memory parties = [customer, provider, operator];
        for (uint256 i = 0; i < 3; ++i) {
            bytes32 set = openSet(PRICE, bytes32(i));
            vm.prank(stranger);
            vm.expectRevert(abi.encodeWithSelector(IStorageDeals.NotParty.selector, stranger));
            deals.terminate(set, "");
            vm.prank(parties[i]);
            deals.terminate(set, "");
            vm.assertEq(deals.dataSet(set).endsAfter, period());
            vm.prank(parties[i]);
            vm.expectRevert(abi.encodeWithSelector(IStorageDeals.SetEnded.selector, set));
            deals.terminate(set, "");
        }
        bytes memory signature = signTerminate(id);
        vm.prank(stranger);
        deals.terminate(id, signature);
    }

    function test_TheRestOfTheEscrowGoesBackAfterTheEnd() public {
        fundSet(id, 5e18, "a");
        uint256 before = token.balanceOf(customer);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.StillOpen.selector, id));
        deals.returnEscrow(id);
        deals.terminate(id, signTerminate(id));
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.StillOpen.selector, id));
        deals.returnEscrow(id);
        toNextPeriod();
        vm.prank(stranger);
        deals.returnEscrow(id);
        vm.assertEq(token.balanceOf(customer), before + 5e18);
        vm.expectRevert(IStorageDeals.NothingOwed.selector);
        deals.returnEscrow(id);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.SetEnded.selector, id));
        deals.fund(id, 1, 0, 0, 0, "");
    }

    function test_AnExpiredSetEndsByItself() public {
        IStorageDeals.Terms memory t = terms(PRICE, uint64(START + 2 * PERIOD + 1), "short");
        bytes32 set = deals.open(t, signTerms(t));
        fundSet(set, 1e18, "a");
        vm.warp(START + 2 * PERIOD - 1);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.StillOpen.selector, set));
        deals.returnEscrow(set);
        vm.warp(START + 2 * PERIOD); // period 2 would end after the expiry
        deals.returnEscrow(set);
        (IStorageDeals.Step step,, uint64 notBefore,) = deals.nextAction(set);
        vm.assertTrue(step == IStorageDeals.Step.Nothing);
        vm.assertEq(notBefore, type(uint64).max);
    }

    function test_OpenFundAndAddRunInOneTransactionOfTheOperator() public {
        IStorageDeals.Terms memory t = terms(PRICE, uint64(START + 1 days), "one");
        bytes32 set = deals.dataSetId(t);
        IStorageDeals.Piece[] memory added = pieces(2, 3);
        bytes memory paid =
            authorization(CUSTOMER_KEY, address(deals), 7, START + 60, keccak256(abi.encode(set, bytes32("a"))));
        bytes[] memory calls = new bytes[](3);
        calls[0] = abi.encodeCall(deals.open, (t, signTerms(t)));
        calls[1] = abi.encodeCall(deals.fund, (set, 7, 0, START + 60, "a", paid));
        calls[2] = abi.encodeCall(deals.add, (set, added, 0, signAdd(set, 0, added)));
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IStorageDeals.NotOperator.selector, stranger));
        deals.multicall(calls);
        vm.prank(operator);
        deals.multicall(calls);
        vm.assertEq(deals.dataSet(set).escrow, 7);
        vm.assertEq(deals.dataSet(set).leafCount, 6);
    }
}
