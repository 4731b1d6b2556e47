// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// H3 indexes as a provider may publish them. The layout of the 64 bits, from the top: 1 reserved, 4 mode, 3 reserved,
/// 4 resolution, 7 base cell, then 15 digits of 3 bits, of which those finer than the resolution are all ones.
/// Source: h3geo.org, "H3 Index Bit Layout".
library Cells {
    uint256 internal constant MAX_RESOLUTION = 5; // cells of some 250 km²
    uint256 private constant BASE_CELLS = 122;

    /// Whether it is the index of a cell, no finer than MAX_RESOLUTION, with nothing hidden in the digits beyond.
    function isCoarse(uint64 cell) internal pure returns (bool) {
        uint256 resolution = (cell >> 52) & 0xF;
        if (cell >> 56 != 0x08 || resolution > MAX_RESOLUTION || (cell >> 45) & 0x7F >= BASE_CELLS) return false;
        for (uint256 digit = 1; digit <= resolution; ++digit) {
            if ((cell >> (3 * (15 - digit))) & 7 == 7) return false;
        }
        uint256 unused = (1 << (3 * (15 - resolution))) - 1;
        return cell & unused == unused;
    }
}
