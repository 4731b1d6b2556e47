// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// Requests that wait for their time, the first to end first. Bounded, so that whoever walks them ends.
library Thaws {
    struct Thaw {
        uint128 amount;
        uint64 ends; // unix seconds
    }

    struct Queue {
        uint128 total; // of all that waits
        uint64 first; // those before it have left and are blank
        Thaw[] items; // by ascending end
    }

    uint256 internal constant MAX = 16; // at once

    error TooManyThaws(uint256 maximum);

    /// `ends` must not be before that of any request already waiting.
    function push(Queue storage queue, uint128 amount, uint64 ends) internal {
        if (queue.items.length - queue.first == MAX) revert TooManyThaws(MAX);
        queue.items.push(Thaw(amount, ends));
        queue.total += amount;
    }

    /// When the first request ends; 0 when none waits.
    function nextEnd(Queue storage queue) internal view returns (uint64) {
        return queue.first < queue.items.length ? queue.items[queue.first].ends : 0;
    }

    /// Takes out every request whose time has come; returns their sum.
    function popEnded(Queue storage queue) internal returns (uint128 amount) {
        uint64 first = queue.first;
        uint256 length = queue.items.length;
        for (; first < length && queue.items[first].ends <= block.timestamp; ++first) {
            amount += queue.items[first].amount;
            delete queue.items[first];
        }
        queue.first = first;
        queue.total -= amount;
    }

    /// Takes `amount` away from the newest requests: they would have left last. At most `total`.
    function shrink(Queue storage queue, uint128 amount) internal {
        queue.total -= amount;
        while (amount != 0) {
            Thaw storage last = queue.items[queue.items.length - 1];
            if (last.amount > amount) {
                last.amount -= amount;
                return;
            }
            amount -= last.amount;
            queue.items.pop();
        }
    }

    function pending(Queue storage queue) internal view returns (Thaw[] memory waiting) {
        waiting = new Thaw[](queue.items.length - queue.first);
        for (uint256 i = 0; i < waiting.length; ++i) {
            waiting[i] = queue.items[queue.first + i];
        }
    }
}
