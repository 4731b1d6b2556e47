// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {History} from "../src/libraries/History.sol";
import {PieceTree} from "../src/libraries/PieceTree.sol";
import {PossessionProof} from "../src/libraries/PossessionProof.sol";
import {Trees} from "./support/Trees.sol";
import {bound, vm} from "./support/Vm.sol";

/// The libraries against the plainest possible models.
contract PieceTreeTest {
    using PieceTree for PieceTree.Tree;
    using History for History.Trace;

    PieceTree.Tree private tree;
    History.Trace private trace;
    uint256[] private counts; // the model: leaves by piece
    uint256 private total;

    function append(uint256 leaves) private {
        tree.append(counts.length, leaves, total);
        counts.push(leaves);
        total += leaves;
    }

    function remove(uint256 id) private {
        vm.assertEq(tree.remove(id, counts.length), counts[id]);
        total -= counts[id];
        counts[id] = 0;
    }

    function checkAll() private view {
        uint256 index = 0;
        uint256 levels = PieceTree.height(counts.length);
        for (uint256 id = 0; id < counts.length; ++id) {
            vm.assertEq(tree.leavesOf(id), counts[id]);
            vm.assertEq(tree.startOf(id, counts.length), index);
            for (uint256 leaf = 0; leaf < counts[id]; leaf += 1 + counts[id] / 3) {
                (uint256 foundId, uint256 foundLeaf, uint256 leaves) = tree.find(index + leaf, levels);
                vm.assertEq(foundId, id);
                vm.assertEq(foundLeaf, leaf);
                vm.assertEq(leaves, counts[id]);
            }
            index += counts[id];
        }
    }

    function testFuzz_FindsEveryLeafWhateverWasAddedAndRemoved(uint256 seed) public {
        uint256 steps = 2 + (seed % 40);
        for (uint256 i = 0; i < steps; ++i) {
            uint256 random = uint256(keccak256(abi.encode(seed, i)));
            if (counts.length == 0 || random % 4 != 0) append(1 + (random >> 8) % 50);
            else remove((random >> 8) % counts.length);
        }
        checkAll();
    }

    function test_GrowsThroughEveryHeight() public {
        for (uint256 i = 0; i < 66; ++i) {
            append(1 + (i % 7));
            if (i == 0 || i == 3 || i == 4 || i == 15 || i == 16 || i == 63 || i == 65) checkAll();
        }
        remove(0);
        remove(65);
        remove(16);
        checkAll();
    }

    function test_HoldsTheLargestPieces() public {
        for (uint256 i = 0; i < 5; ++i) {
            append(1 << 40);
        }
        (uint256 id, uint256 leaf,) = tree.find(5 * (1 << 40) - 1, 2);
        vm.assertEq(id, 4);
        vm.assertEq(leaf, (1 << 40) - 1);
    }

    function test_HeightIsTheLeastThatCovers() public pure {
        uint256[8] memory pieces = [uint256(1), 4, 5, 16, 17, 64, 65, 1 << 20];
        uint256[8] memory levels = [uint256(1), 1, 2, 2, 3, 3, 4, 10];
        for (uint256 i = 0; i < 8; ++i) {
            vm.assertEq(PieceTree.height(pieces[i]), levels[i]);
        }
    }

    function testFuzz_HistoryKnowsTheValueOfEveryPeriod(uint256 seed) public {
        uint128[60] memory model;
        uint256 period = seed % 5;
        for (uint256 i = 0; period < 60; ++i) {
            uint128 value = uint128(uint256(keccak256(abi.encode(seed, i))));
            trace.push(period, value);
            for (uint256 later = period; later < 60; ++later) {
                model[later] = value;
            }
            period += 1 + (uint256(value) % 9);
        }
        for (uint256 i = 0; i < 60; ++i) {
            vm.assertEq(trace.valueIn(i), model[i]);
        }
        vm.assertEq(trace.valueIn(type(uint64).max), model[59]);
    }

    // --- Merkle paths ---

    /// The root that `data` leads to, when it is used up.
    function rootOf(bytes calldata data, uint256[] memory opened, uint256 start, uint256 levels)
        external
        view
        returns (bytes32 root)
    {
        uint256 from;
        assembly ("memory-safe") {
            from := data.offset
        }
        uint256 end;
        (root, end) = PossessionProof.rootOf(from, opened, 0, opened.length, start, levels);
        vm.assertEq(end, from + data.length);
    }

    function testFuzz_EveryChoiceOfLeavesOfEverySizeLeadsToTheRoot(uint256 leaves, uint256 choice) public view {
        leaves = bound(leaves, 1, 40);
        uint256 start = choice >> 200;
        choice = bound(choice, 1, 2 ** leaves - 1); // bit by leaf
        uint64[] memory places = new uint64[](leaves);
        uint256[] memory opened = new uint256[](leaves);
        uint256 count = 0;
        for (uint256 i = 0; i < leaves; ++i) {
            if (choice & (1 << i) != 0) (places[count], opened[count++]) = (uint64(i), start + i);
        }
        assembly ("memory-safe") {
            mstore(places, count)
            mstore(opened, count)
        }
        uint256 levels = PossessionProof.depth(leaves);
        vm.assertEq(levels, Trees.depth(leaves));
        vm.assertEq(this.rootOf(Trees.proof(1, leaves, places), opened, start, levels), Trees.node(1, leaves, levels, 0));
    }

    /// bytes(i % 251 for i in range(600)), hashed with Python's hashlib: three leaves, the last one zero-padded.
    function test_AgreesWithAnotherImplementation() public view {
        bytes memory data = new bytes(768);
        for (uint256 i = 0; i < 600; ++i) {
            data[i] = bytes1(uint8(i % 251));
        }
        bytes32[3] memory hashes;
        for (uint256 i = 0; i < 3; ++i) {
            bytes memory leaf = new bytes(256);
            for (uint256 j = 0; j < 256; ++j) {
                leaf[j] = data[256 * i + j];
            }
            hashes[i] = sha256(leaf);
            if (i == 2) {
                bytes memory proof = bytes.concat(leaf, bytes32(0), sha256(abi.encode(hashes[0], hashes[1])));
                uint256[] memory third = new uint256[](1);
                third[0] = 2;
                vm.assertEq(this.rootOf(proof, third, 0, 2), VECTOR);
            }
        }
    }

    bytes32 private constant VECTOR = 0xbf2542556468063c4bebd048f341a805f1449a9a9b9ea81b7817cc5f80775d99;
}
