// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// A value over time, written only when it changes: each entry is (period << 128) | value, by ascending period.
library History {
    struct Trace {
        uint256[] entries;
    }

    /// `period` must be later than that of every entry before.
    function push(Trace storage trace, uint256 period, uint128 value) internal {
        trace.entries.push((period << 128) | value);
    }

    /// The value that held in `period`: that of the last entry at or before it, 0 before the first.
    function valueIn(Trace storage trace, uint256 period) internal view returns (uint128) {
        uint256[] storage entries = trace.entries;
        uint256 low = 0;
        uint256 high = entries.length;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (entries[middle] >> 128 > period) high = middle;
            else low = middle + 1;
        }
        return low == 0 ? 0 : uint128(entries[low - 1]);
    }
}
