// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// Books only what really arrived: a token that takes a fee on transfers is refused.
library ExactTransfer {
    error InexactTransfer(uint256 expected, uint256 received);

    function pull(IERC20 token, address from, uint256 amount) internal {
        uint256 before = token.balanceOf(address(this));
        SafeERC20.safeTransferFrom(token, from, address(this), amount);
        check(token, before, amount);
    }

    /// Call after tokens were moved here by other means; `before` is the balance from before that.
    function check(IERC20 token, uint256 before, uint256 amount) internal view {
        uint256 received = token.balanceOf(address(this)) - before;
        if (received != amount) revert InexactTransfer(amount, received);
    }
}
