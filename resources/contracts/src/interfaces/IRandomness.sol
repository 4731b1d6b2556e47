// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// Where the seeds of challenges come from when it is not prevrandao, such as a verified beacon (drand).
interface IRandomness {
    /// What nobody could know before the challenge window of `period` opened and nobody can have drawn again. Called once
    /// a period; reverting leaves the period without a seed for as long as it lasts.
    function draw(uint64 period) external returns (bytes32);
}
