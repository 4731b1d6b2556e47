// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// A token that hands control to a contract of the attacker's in the middle of each transfer, and that burns, permits
/// and authorises as the contracts expect of theirs.
contract HookedToken is ERC20 {
    address private _hook;
    bool private _inside;

    constructor() ERC20("Hooked", "HOOK") {
        _mint(msg.sender, 1e30);
    }

    function setHook(address hook) external {
        _hook = hook;
    }

    function burn(uint256 value) external {
        _burn(msg.sender, value);
    }

    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256,
        uint256,
        bytes32,
        bytes calldata
    ) external {
        _transfer(from, to, value);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (_hook == address(0) || _inside) return;
        _inside = true;
        Attacker(_hook).act();
        _inside = false;
    }
}

/// A wallet that can be anybody's owner, operator or payout, and that repeats a prepared call whenever control comes
/// its way. It notes whether one of them went through.
contract Attacker {
    address private _target;
    bytes private _call;
    uint256 public attempts;
    uint256 public successes;
    bytes public failure;

    function arm(address target, bytes calldata call_) external {
        (_target, _call) = (target, call_);
    }

    function act() external {
        ++attempts;
        (bool done, bytes memory reason) = _target.call(_call);
        if (done) ++successes;
        else failure = reason;
    }

    /// Does as its owner, the test, says.
    function run(address target, bytes calldata call_) external {
        (bool done, bytes memory reason) = target.call(call_);
        if (done) return;
        assembly ("memory-safe") {
            revert(add(reason, 32), mload(reason))
        }
    }
}
