"""What a model process is told to load, and how much it is asked."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelOrder:
    """What a model process is told to load, and how.

    Attributes:
        package: its folder.
        digest: of the package (`models.seal.package_digest`); another one is refused. Empty: whatever lies there.
        runtime, device: as for `vitrail.load`.
        threads: with which it computes; 0: all cores.
        most_images: of a batch.
        wait: seconds for which a batch that is not full waits for more.
        formats: names of file formats that are decoded; empty: all that can be read.
        max_pixels: width times height of a picture, from its header.
        memory_bytes: beyond which an allocation fails; 0: no limit.
    """

    package: str
    digest: str = ""
    runtime: str = "auto"
    device: str = "auto"
    threads: int = 0
    most_images: int = 16
    wait: float = 0.0
    formats: tuple[str, ...] = ()
    max_pixels: int = 50_000_000
    memory_bytes: int = 0


@dataclass(frozen=True)
class Bounds:
    """How much a model is asked at once, and how long it may take.

    Attributes:
        queue_images, queue_bytes: that wait or are computed; more are refused.
        hang_seconds: without a word while somebody waits, after which the process is killed.
        load_seconds: for loading and the first answer.
        restart_seconds, longest_restart_seconds: the wait before a dead process is started again; it doubles.
    """

    queue_images: int = 256
    queue_bytes: int = 256 * 2**20
    hang_seconds: float = 10.0
    load_seconds: float = 300.0
    restart_seconds: float = 0.5
    longest_restart_seconds: float = 60.0
