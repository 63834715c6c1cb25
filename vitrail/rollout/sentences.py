"""Numbers of a rollout in sentences."""

from vitrail.rollout.state import ArmLook, RolloutState, TestName

_COUNTS: dict[str, tuple[str, str, str]] = {
    "failures": ("failures", "requests", "failed"),
    "slow answers": ("slow", "answered", "were slow"),
    "wrong answers": ("wrong", "judged", "were wrong"),
}


def percent(share: float) -> str:
    """A share of 1 as people read it.

    >>> percent(0.002), percent(0.6), percent(0.9999)
    ('0.2 %', '60 %', '99.99 %')
    """
    return f"{100 * share:.4g} %"


def seconds_text(seconds: float) -> str:
    """A time as people read it.

    >>> seconds_text(0.0123), seconds_text(90.0), seconds_text(7200.0)
    ('12.3 ms', '90 s', '2 h')
    """
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"


def bytes_text(size: int) -> str:
    """A size as people read it.

    >>> bytes_text(450_000_000), bytes_text(1_400_000_000)
    ('450 MB', '1.4 GB')
    """
    return f"{size / 1e9:.3g} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def counted(name: TestName, look: ArmLook) -> tuple[int, int]:
    """Events and chances of one arm, of what a test is about."""
    events, chances, _ = _COUNTS[name.removeprefix("no more ")]
    return getattr(look, events), getattr(look, chances)


def rate_sentence(name: TestName, state: RolloutState, *, p_value: float, margin: float) -> str:
    """Counts of both arms, and that their difference is above the margin."""
    (one, n), (other, m) = counted(name, state.measured.candidate), counted(name, state.measured.control)
    verb = _COUNTS[name.removeprefix("no more ")][2]
    slow = f" (above {seconds_text(state.slow_seconds)})" if "slow" in name and state.slow_seconds is not None else ""
    return (
        f"{one:,} of {n:,} of the candidate {verb}{slow}, {other:,} of {m:,} of the control: "
        f"more than {percent(margin)} above it; p = {p_value:.2g}"
    )
