// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Settlement} from "./Deployed.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IBatchSettlement} from "../../src/interfaces/IBatchSettlement.sol";
import {IDepositCollector} from "../../src/interfaces/IDepositCollector.sol";

/// Takes one per cent of every transfer.
contract FeeToken is ERC20 {
    constructor() ERC20("Fee", "FEE") {
        _mint(msg.sender, 1e30);
    }

    function _update(address from, address to, uint256 value) internal override {
        uint256 fee = from == address(0) || to == address(0) ? 0 : value / 100;
        super._update(from, to, value - fee);
        if (fee != 0) super._update(from, address(0xFEE), fee);
    }
}

/// Pays deposits from its own allowance, as an honest collector without signatures would.
contract AllowanceCollector is IDepositCollector {
    function collect(address payer, address token, uint256 amount, bytes32, bytes calldata) external {
        ERC20(token).transferFrom(payer, msg.sender, amount);
    }
}

/// Collects nothing, or less than it should.
contract StingyCollector is IDepositCollector {
    function collect(address payer, address token, uint256 amount, bytes32, bytes calldata data) external {
        uint256 part = abi.decode(data, (uint256));
        if (part != 0) ERC20(token).transferFrom(payer, msg.sender, amount - part);
    }
}

/// Calls back into Settlement in the middle of a transfer.
contract ReentrantToken is ERC20 {
    bytes private _attack;
    address private _target;
    bool public succeeded;
    bytes public failure;

    constructor() ERC20("Reentrant", "RE") {
        _mint(msg.sender, 1e30);
    }

    function arm(address target, bytes calldata attack) external {
        _target = target;
        _attack = attack;
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (_target == address(0) || (from != _target && to != _target)) return;
        address target = _target;
        _target = address(0);
        (succeeded, failure) = target.call(_attack);
    }
}

/// Opens a second deposit inside the first, hoping that one transfer is counted twice.
contract NestingCollector is IDepositCollector {
    function collect(address payer, address token, uint256 amount, bytes32, bytes calldata data) external {
        IBatchSettlement.ChannelConfig memory inner = abi.decode(data, (IBatchSettlement.ChannelConfig));
        Settlement(msg.sender).deposit(inner, uint128(amount), address(new AllowanceCollector()), "");
        ERC20(token).transferFrom(payer, msg.sender, amount);
    }
}

/// A contract wallet whose owner is one key (ERC-1271).
contract ContractWallet {
    address private immutable OWNER;

    constructor(address owner) {
        OWNER = owner;
    }

    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        (bytes32 r, bytes32 s) = abi.decode(signature[:64], (bytes32, bytes32));
        return ecrecover(hash, uint8(signature[64]), r, s) == OWNER ? this.isValidSignature.selector : bytes4(0);
    }

    function approve(address token, address spender) external {
        ERC20(token).approve(spender, type(uint256).max);
    }
}
