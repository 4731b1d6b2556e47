// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IStorageDeals} from "../src/interfaces/IStorageDeals.sol";
import {Trees} from "./support/Trees.sol";
import {vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// What a proof costs, base, calldata and state writes included; snapshots/deals.json holds the figures.
///
/// How many siblings the challenged leaves of a piece share is a matter of luck, so the figures are means over many data
/// sets; "later" is the second proof of each, when no slot is written for the first time. Trees are partial: what no
/// draw asks for is a stand-in, which costs the verifier the same.
contract GasProofsTest is World {
    uint256 private constant GIB = 1 << 22; // leaves

    struct Sets {
        bytes32[] ids;
        uint256[][] real; // leaves that some draw asks for, by set
        uint256 leaves; // of each piece
    }

    function test_Gas_proveByPieces() public {
        for (uint256 pieces = 1; pieces <= 64; pieces *= 2) {
            measure(pieces, GIB, string.concat("prove ", number(pieces), " GiB, ", plural(pieces, "piece")));
        }
    }

    function test_Gas_proveBySize() public {
        for (uint256 mib = 128; mib <= 512; mib *= 2) {
            measure(1, mib * GIB / 1024, string.concat("prove ", number(mib), " MiB, 1 piece"));
        }
    }

    /// A period of a provider who proves all of its data sets, 1 GiB in one piece each, as many at once as a call takes.
    function test_Gas_manySets() public {
        uint256[3] memory many = [uint256(1), 10, 100];
        for (uint256 i = 0; i < 3; ++i) {
            Sets memory sets = prepare(many[i], 1, GIB, "many");
            proveAll(sets, 32);
            vm.snapshotValue(
                "deals", string.concat("a period of ", plural(many[i], "set"), " of 1 GiB"), proveAll(sets, 32)
            );
        }
    }

    function test_Gas_settle() public {
        proveAll(prepare(1, 1, 8, "settle"), 1);
        deals.settle(provider);
        vm.snapshotGasLastCall("deals", "settle, first");
    }

    function test_Gas_reportFault() public {
        Sets memory sets = prepare(1, 1, 8, "report");
        toNextPeriod();
        toNextPeriod();
        vm.prank(stranger);
        deals.reportFault(sets.ids[0], 1);
        vm.snapshotGasLastCall("deals", "report a fault");
    }

    function measure(uint256 pieces, uint256 leaves, string memory name) private forgetful {
        uint256 count = pieces <= 4 ? 64 : 16; // the more pieces, the less they share and the less luck there is
        Sets memory sets = prepare(count, pieces, leaves, keccak256(bytes(name)));
        vm.snapshotValue("deals", string.concat(name, ", first"), proveAll(sets, 1) / count);
        vm.snapshotValue("deals", string.concat(name, ", later"), proveAll(sets, 1) / count);
    }

    function prepare(uint256 count, uint256 pieces, uint256 leaves, bytes32 salt) private returns (Sets memory sets) {
        sets = Sets(new bytes32[](count), new uint256[][](count), leaves);
        for (uint256 i = 0; i < count; ++i) {
            bytes32 setId = openSet(1e3, keccak256(abi.encode(salt, count, i)));
            fundSet(setId, 1e18, "fund");
            uint256[] memory first = draws(setId, period() + 1, pieces * leaves);
            uint256[] memory second = draws(setId, period() + 2, pieces * leaves);
            uint256[] memory real = new uint256[](10);
            for (uint256 j = 0; j < 10; ++j) {
                real[j] = j < 5 ? first[j] : second[j - 5];
            }
            addPartial(setId, pieces, leaves, real);
            (sets.ids[i], sets.real[i]) = (setId, real);
        }
    }

    /// Proves every set in the next period, `batch` at once; returns the gas of all of it.
    function proveAll(Sets memory sets, uint256 batch) private returns (uint256 gas) {
        toNextPeriod();
        toWindow();
        vm.prevrandao(luck(period()));
        deals.poke();
        uint256 count = sets.ids.length;
        for (uint256 from = 0; from < count; from += batch) {
            proveBatch(sets, from, count < from + batch ? count : from + batch);
            gas += vm.lastCallGas().gasTotalUsed;
        }
    }

    function proveBatch(Sets memory sets, uint256 from, uint256 to) private forgetful {
        bytes memory proofs;
        for (uint256 i = from; i < to; ++i) {
            proofs = bytes.concat(proofs, bytes16(sets.ids[i]), show(sets.ids[i], sets.leaves, sets.real[i]));
        }
        proveAs(operator, proofs);
    }

    /// Forgets the memory that a function took: what proofs are put together from would fill it.
    modifier forgetful() {
        uint256 free;
        assembly ("memory-safe") {
            free := mload(0x40)
        }
        _;
        assembly ("memory-safe") {
            mstore(0x40, free)
        }
    }

    // --- partial pieces ---

    /// What a period's draw will ask for, as the set's leaves; known beforehand, as these tests choose the randomness.
    function draws(bytes32 setId, uint256 inPeriod, uint256 range) private view returns (uint256[] memory asked) {
        bytes32 seed = keccak256(abi.encode(luck(inPeriod), inPeriod, address(deals)));
        asked = new uint256[](5);
        for (uint256 i = 0; i < 5; ++i) {
            asked[i] = uint256(keccak256(abi.encode(seed, setId, i))) % range;
        }
    }

    function luck(uint256 inPeriod) private pure returns (bytes32) {
        return keccak256(abi.encode("a fair draw", inPeriod));
    }

    function addPartial(bytes32 setId, uint256 pieces, uint256 leaves, uint256[] memory real) private forgetful {
        IStorageDeals.Piece[] memory added = new IStorageDeals.Piece[](pieces);
        for (uint256 i = 0; i < pieces; ++i) {
            added[i] = Trees.partialPiece(i, within(real, i, leaves), leaves);
        }
        addPieces(setId, added);
    }

    /// The answer to this period's challenges of a set whose pieces all have `leaves` leaves.
    function show(bytes32 setId, uint256 leaves, uint256[] memory real) private view returns (bytes memory data) {
        (uint64[] memory ids, uint64[] memory places) = deals.challenges(setId);
        uint256 next;
        for (uint256 first = 0; first < ids.length; first = next) {
            for (next = first; next < ids.length && ids[next] == ids[first];) ++next;
            uint256[] memory opened = new uint256[](next - first);
            for (uint256 i = first; i < next; ++i) {
                opened[i - first] = places[i];
            }
            uint256 id = ids[first];
            data = bytes.concat(data, Trees.partialProof(id, within(real, id, leaves), opened, leaves));
        }
    }

    /// Those of the set's leaves that lie in a piece, as the piece's.
    function within(uint256[] memory all, uint256 id, uint256 leaves) private pure returns (uint256[] memory some) {
        some = new uint256[](all.length);
        uint256 count = 0;
        for (uint256 i = 0; i < all.length; ++i) {
            if (all[i] / leaves == id) some[count++] = all[i] % leaves;
        }
        assembly ("memory-safe") {
            mstore(some, count)
        }
    }

    // --- words ---

    function plural(uint256 count, string memory one) private pure returns (string memory) {
        return string.concat(number(count), " ", one, count == 1 ? "" : "s");
    }

    function number(uint256 value) private pure returns (string memory) {
        bytes memory last = new bytes(1);
        last[0] = bytes1(uint8(48 + (value % 10)));
        return value < 10 ? string(last) : string.concat(number(value / 10), string(last));
    }
}
