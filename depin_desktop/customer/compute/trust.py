"""How far a provider is believed: BOINC's adaptive replication, pure.

Every answer of a host and engine build is checked until ten in a row were right, then one in n, where n is how many
were right in a row. A wrong one sets n to zero and keeps the host from work for a while (BOINC: sched/sched_send.cpp).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from enum import StrEnum

REQUIRED_AGREEMENTS = 10
SHUN_S = 7 * 86_400.0
"""Who answered wrongly gets no work for so long."""


class Verdict(StrEnum):
    """What a check has shown."""

    RIGHT = "right"
    WRONG = "wrong"
    UNCLEAR = "unclear"  # nobody to compare with, or a tie that nobody could break


@dataclass(frozen=True)
class Standing:
    """What is known of one host with one engine build and model.

    Attributes:
        streak: right answers in a row since the last wrong one; unclear ones count neither way.
        served: jobs that were answered, checked or not.
        failed: jobs that it took and did not finish.
        wrong_at: Unix time of the last wrong answer, 0 for never.
        rate: tokens a second that were seen, 0 where none were; for other work answers a second.
        spent: base units that it was paid.
    """

    streak: int = 0
    right: int = 0
    wrong: int = 0
    unclear: int = 0
    served: int = 0
    failed: int = 0
    wrong_at: float = 0.0
    rate: float = 0.0
    spent: int = 0

    @property
    def trusted(self) -> bool:
        """Whether not every answer is checked any more."""
        return self.streak >= REQUIRED_AGREEMENTS

    @property
    def check_probability(self) -> float:
        """How likely the next answer is checked: 1 − (1 − 1/n) from ten agreements in a row on."""
        return 1.0 / self.streak if self.trusted else 1.0

    def shunned(self, now: float) -> bool:
        """Whether a wrong answer is too recent for more work."""
        return self.wrong_at > 0 and now - self.wrong_at < SHUN_S

    @property
    def score(self) -> float:
        """0 to 1: the share of jobs that one may expect to end well, from what was seen.

        Laplace's rule on both counts, so that a stranger begins at a half and a long record weighs more than a short
        one. A wrong answer weighs as ten right ones: that is what it costs to be believed again.
        """
        honest = (self.right + 1) / (self.right + REQUIRED_AGREEMENTS * self.wrong + 2)
        reliable = (self.served + 1) / (self.served + self.failed + 1)
        return honest * reliable

    def after(self, verdict: Verdict, now: float) -> Standing:
        """The standing once a check has ended."""
        if verdict is Verdict.RIGHT:
            return replace(self, streak=self.streak + 1, right=self.right + 1)
        if verdict is Verdict.WRONG:
            return replace(self, streak=0, wrong=self.wrong + 1, wrong_at=now)
        return replace(self, unclear=self.unclear + 1)


def must_check(standing: Standing, dice: random.Random) -> bool:
    """Whether the next answer of this host is to be checked."""
    return dice.random() < standing.check_probability
