// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IStorageDeals} from "../interfaces/IStorageDeals.sol";

/// EIP-712 struct hashes of what customers sign for StorageDeals.
library DealTypes {
    bytes32 private constant TERMS =
        keccak256("Terms(address customer,address provider,uint128 price,uint64 expires,bytes32 salt)");
    bytes32 private constant ADD_PIECES = keccak256("AddPieces(bytes32 setId,uint64 firstPieceId,bytes32 piecesHash)");
    bytes32 private constant SCHEDULE_REMOVALS = keccak256("ScheduleRemovals(bytes32 setId,bytes32 pieceIdsHash)");
    bytes32 private constant TERMINATE = keccak256("Terminate(bytes32 setId)");

    function terms(IStorageDeals.Terms calldata t) internal pure returns (bytes32) {
        return keccak256(abi.encode(TERMS, t));
    }

    function addPieces(bytes32 setId, uint64 firstPieceId, IStorageDeals.Piece[] calldata pieces)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(ADD_PIECES, setId, firstPieceId, keccak256(abi.encode(pieces))));
    }

    function scheduleRemovals(bytes32 setId, uint64[] calldata pieceIds) internal pure returns (bytes32) {
        return keccak256(abi.encode(SCHEDULE_REMOVALS, setId, keccak256(abi.encode(pieceIds))));
    }

    function terminate(bytes32 setId) internal pure returns (bytes32) {
        return keccak256(abi.encode(TERMINATE, setId));
    }
}
