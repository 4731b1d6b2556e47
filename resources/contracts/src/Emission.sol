// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// Where new tokens come from: a first amount at deployment and then one schedule. Nobody can mint otherwise.
///
/// CAP less the first amount is the RESERVE. The first year shares out 15 % of it, evenly by the second, and every later
/// year 85 % of what the year before did: in `n` years RESERVE * (1 - 0.85^n). After YEARS it ends, with 0.003 % of the
/// reserve never minted. Burnt tokens are not minted again: CAP bounds all that was ever minted, not only what exists.
abstract contract Emission is ERC20 {
    uint256 public constant CAP = 1_000_000_000e18;
    uint256 public constant YEAR = 365 days;
    uint256 public constant YEARS = 64; // bounds the schedule's loop
    uint256 public constant KEPT_PERCENT = 85; // of the reserve, over each year

    uint256 public immutable RESERVE;
    uint256 public immutable EMISSION_START; // unix seconds

    uint256 public emitted;
    address public beneficiary;
    address public proposedBeneficiary;

    event Emitted(address indexed beneficiary, uint256 amount);
    event BeneficiaryProposed(address indexed proposed);
    event BeneficiaryChanged(address indexed beneficiary);

    error CapExceeded(uint256 amount, uint256 cap);
    error NothingToEmit();
    error NotBeneficiary(address caller);

    constructor(address firstHolder, uint256 firstAmount, address beneficiary_) {
        if (firstAmount > CAP) revert CapExceeded(firstAmount, CAP);
        if (beneficiary_ == address(0)) revert ERC20InvalidReceiver(address(0));
        RESERVE = CAP - firstAmount;
        EMISSION_START = block.timestamp;
        beneficiary = beneficiary_;
        emit BeneficiaryChanged(beneficiary_);
        _mint(firstHolder, firstAmount);
    }

    /// Mints to the beneficiary all that the schedule has released and nobody called for yet. Anyone may call.
    function emitDue() external returns (uint256 amount) {
        amount = scheduledBy(block.timestamp) - emitted;
        if (amount == 0) revert NothingToEmit();
        emitted += amount;
        emit Emitted(beneficiary, amount);
        _mint(beneficiary, amount);
    }

    /// The beneficiary is handed over in two steps, so that it cannot be lost to a mistyped address.
    function proposeBeneficiary(address proposed) external {
        if (msg.sender != beneficiary) revert NotBeneficiary(msg.sender);
        proposedBeneficiary = proposed;
        emit BeneficiaryProposed(proposed);
    }

    function acceptBeneficiary() external {
        if (msg.sender != proposedBeneficiary) revert NotBeneficiary(msg.sender);
        beneficiary = msg.sender;
        delete proposedBeneficiary;
        emit BeneficiaryChanged(msg.sender);
    }

    /// All that the schedule releases until `time`, unix seconds: never falls, never above RESERVE.
    function scheduledBy(uint256 time) public view returns (uint256) {
        if (time <= EMISSION_START) return 0;
        uint256 elapsed = time - EMISSION_START;
        uint256 year = elapsed / YEAR;
        uint256 kept = RESERVE; // at the beginning of the year that is running
        for (uint256 past = 0; past < year && past < YEARS; ++past) {
            kept = kept * KEPT_PERCENT / 100;
        }
        if (year >= YEARS) return RESERVE - kept;
        uint256 ofThisYear = kept - kept * KEPT_PERCENT / 100;
        return RESERVE - kept + ofThisYear * (elapsed % YEAR) / YEAR;
    }
}
