// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// Which modules may slash, named by an admin who can do nothing else.
///
/// A module named while there are providers gets its power only two thaws later: whoever does not trust it has one
/// thaw's time to notice and one to leave with the whole stake. Taking the power away works at once.
abstract contract Slashers {
    uint64 public constant MAX_THAW_PERIOD = 365 days;

    uint64 public immutable THAW_PERIOD; // seconds

    address public admin;
    address public proposedAdmin;
    mapping(address module => uint64) public slasherFrom; // unix seconds; 0: not named

    event SlasherSet(address indexed module, uint64 from);
    event AdminProposed(address indexed proposed);
    event AdminChanged(address indexed admin);

    error NotAdmin(address caller);
    error BadThawPeriod(uint64 given, uint64 maximum);

    constructor(uint64 thawPeriod, address admin_) {
        // Bounded, so that `now + thawPeriod` can never wrap round into the past.
        if (thawPeriod == 0 || thawPeriod > MAX_THAW_PERIOD) revert BadThawPeriod(thawPeriod, MAX_THAW_PERIOD);
        if (admin_ == address(0)) revert NotAdmin(address(0));
        THAW_PERIOD = thawPeriod;
        admin = admin_;
        emit AdminChanged(admin_);
    }

    function setSlasher(address module, bool allowed) external {
        _onlyAdmin();
        uint64 from = slasherFrom[module];
        if (!allowed) from = 0;
        else if (from == 0) from = uint64(block.timestamp) + (_hasProviders() ? 2 * THAW_PERIOD : 0);
        slasherFrom[module] = from;
        emit SlasherSet(module, from);
    }

    function proposeAdmin(address proposed) external {
        _onlyAdmin();
        proposedAdmin = proposed;
        emit AdminProposed(proposed);
    }

    function acceptAdmin() external {
        if (msg.sender != proposedAdmin) revert NotAdmin(msg.sender);
        admin = msg.sender;
        delete proposedAdmin;
        emit AdminChanged(msg.sender);
    }

    function isSlasher(address module) public view returns (bool) {
        uint64 from = slasherFrom[module];
        return from != 0 && block.timestamp >= from;
    }

    function _hasProviders() internal view virtual returns (bool);

    function _onlyAdmin() private view {
        if (msg.sender != admin) revert NotAdmin(msg.sender);
    }
}
