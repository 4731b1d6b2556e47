// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC3009, IERC3009Cancel} from "@openzeppelin/contracts/interfaces/draft-IERC3009.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {IBatchSettlement} from "../../src/interfaces/IBatchSettlement.sol";
import {IDepositCollector} from "../../src/interfaces/IDepositCollector.sol";
import {IERC3009Bytes} from "../../src/interfaces/IERC3009Bytes.sol";
import {IProviderRegistry} from "../../src/interfaces/IProviderRegistry.sol";
import {IStorageDeals} from "../../src/interfaces/IStorageDeals.sol";

// The contracts under test, as their callers see them. Tests import no contract: so these are compiled once, with the
// settings that they are deployed with, and the tests themselves with settings that compile fast.

interface Token is IERC20Metadata, IERC20Permit, IERC3009, IERC3009Cancel, IERC3009Bytes {
    event Emitted(address indexed beneficiary, uint256 amount);

    error CapExceeded(uint256 amount, uint256 cap);
    error NothingToEmit();
    error NotBeneficiary(address caller);

    function CAP() external view returns (uint256);
    function RESERVE() external view returns (uint256);
    function emitted() external view returns (uint256);
    function emitDue() external returns (uint256 amount);
    function beneficiary() external view returns (address);
    function proposeBeneficiary(address proposed) external;
    function acceptBeneficiary() external;
    function scheduledBy(uint256 time) external view returns (uint256);
    function burn(uint256 value) external;
}

interface Registry is IProviderRegistry {
    struct Thaw {
        uint128 amount;
        uint64 ends;
    }

    event SlasherSet(address indexed module, uint64 from);

    error NotAdmin(address caller);
    error BadThawPeriod(uint64 given, uint64 maximum);
    error TooManyThaws(uint256 maximum);

    function setSlasher(address module, bool allowed) external;
    function isSlasher(address module) external view returns (bool);
    function slasherFrom(address module) external view returns (uint64);
    function proposeAdmin(address proposed) external;
    function acceptAdmin() external;
    function thaws(address owner) external view returns (Thaw[] memory);
    function MAX_PAGE() external view returns (uint256);
    function multicall(bytes[] calldata data) external returns (bytes[] memory);
}

interface Settlement is IBatchSettlement {
    function multicall(bytes[] calldata data) external returns (bytes[] memory);
}

interface Collector is IDepositCollector {
    error OnlySettlement(address caller);
}

interface Deals is IStorageDeals {
    function multicall(bytes[] calldata data) external returns (bytes[] memory);
}
