"""Did the traffic go where it was sent? A test of shares that may be looked at after every user."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scipy.special import gammaln

from vitrail.basics.errors import InputError

MISMATCH_BELOW = 0.001
"""A p-value below this is no chance: the comparison between the arms means nothing then."""
CONCENTRATION = 1000.0
"""How near the shares' alternatives are expected to the shares: as if a thousand units had been seen."""


@dataclass(frozen=True)
class SampleRatio:
    """Units that came to each arm, and those that were to be expected.

    Attributes:
        counts: units by arm.
        expected: shares by arm, which add up to 1.
        p_value: valid at this moment however often one has looked before.
    """

    counts: Mapping[str, int]
    expected: Mapping[str, float]
    p_value: float

    @property
    def is_mismatch(self) -> bool:
        """Whether this is no chance."""
        return self.p_value < MISMATCH_BELOW

    def text(self) -> str:
        """The counts and what was expected, for people.

        >>> sample_ratio({"canary": 60, "control": 40}, {"canary": 1.0, "control": 1.0}).text()
        'canary 60 (expected 50.0), control 40 (expected 50.0); p = 0.87'
        """
        n = sum(self.counts.values())
        each = [f"{arm} {count:,} (expected {n * self.expected[arm]:,.1f})" for arm, count in self.counts.items()]
        return f"{', '.join(each)}; p = {self.p_value:.2g}"


def sample_ratio(counts: Mapping[str, int], shares: Mapping[str, float]) -> SampleRatio:
    """Compare units by arm (users, or requests where each is assigned by itself) with the shares that were set.

    Args:
        counts: units that came to each arm.
        shares: in any unit, above 0.

    Raises:
        InputError: the arms are not the same, or a share is not above 0.

    Source: M. Lindon and A. Malek (2022), Anytime-Valid Inference for Multinomial Count Data, NeurIPS 35, equation 7:
    the Bayes factor of a Dirichlet prior around the shares; p = 1 / Bayes factor, 1 at most.
    """
    total = sum(shares.values())
    if counts.keys() != shares.keys() or min(shares.values(), default=0.0) <= 0:
        raise InputError(
            f"units of {', '.join(counts)} were to be compared with shares of {dict(shares)}",
            hint="the same arms, each with a share above 0",
        )
    expected = {arm: share / total for arm, share in shares.items()}
    n = sum(counts.values())
    log_factor = float(gammaln(CONCENTRATION) - gammaln(CONCENTRATION + n))
    for arm, share in expected.items():
        prior = CONCENTRATION * share
        log_factor += float(gammaln(prior + counts[arm]) - gammaln(prior)) - counts[arm] * math.log(share)
    return SampleRatio(dict(counts), expected, min(1.0, math.exp(-log_factor)) if log_factor < 700 else 0.0)
