"""Times in buckets that can be added up: a quantile of many processes is as good as that of one.

Buckets grow by 2 %, so that any time between 10 µs and 1,000 s is told to within 1 % of itself; shorter and longer ones
count as these ends.

Source: C. Masson, J. E. Rim and H. K. Lee (2019), DDSketch, PVLDB 12, p. 2195, with a fixed range.
"""

import math
from collections.abc import Mapping

SHORTEST_SECONDS, LONGEST_SECONDS = 1e-5, 1e3
RELATIVE_ERROR = 0.01

_GROWTH = 1.02
_PER_LOG = 1 / math.log(_GROWTH)
BUCKETS = math.ceil(math.log(LONGEST_SECONDS / SHORTEST_SECONDS) * _PER_LOG) + 1


def bucket_of(seconds: float) -> int:
    """The bucket of a time that is a number, from 0 to `BUCKETS - 1`."""
    if seconds <= SHORTEST_SECONDS:
        return 0
    if seconds >= LONGEST_SECONDS:
        return BUCKETS - 1
    return math.ceil(math.log(seconds / SHORTEST_SECONDS) * _PER_LOG)


def seconds_of(bucket: int) -> float:
    """The time that is within 1 % of all times in a bucket."""
    if bucket == 0:
        return SHORTEST_SECONDS
    return min(SHORTEST_SECONDS * _GROWTH**bucket * 2 / (1 + _GROWTH), LONGEST_SECONDS)


def quantile(times: Mapping[int, int], percent: int) -> float | None:
    """The least time that so many percent of all times do not exceed, within 1 % (NumPy's `inverted_cdf`).

    Args:
        times: how many there are, by bucket.
        percent: from 1 to 100.

    Returns:
        Seconds; None where there are no times.

    >>> round(quantile({bucket_of(0.1): 19, bucket_of(2.0): 1}, 95), 2)
    0.1
    """
    rank = -(-percent * sum(times.values()) // 100)
    for bucket in sorted(times):
        rank -= times[bucket]
        if rank <= 0:
            return seconds_of(bucket)
    return None
