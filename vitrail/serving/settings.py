"""What can be set for `serve`: where it listens, what it takes, how models are run."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from vitrail.basics.errors import InputError
from vitrail.basics.settings import Settings
from vitrail.monitoring.health import HealthLimits
from vitrail.monitoring.keeper import KeeperSettings
from vitrail.monitoring.truth_figures import TruthSettings
from vitrail.serving.breaker import BreakerSettings
from vitrail.serving.kept_images import KeptImageSettings

ImageFormat = Literal["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "DICOM"]
"""Formats as Pillow names them; DICOM wherever a reader of it is known."""
FORMATS: tuple[ImageFormat, ...] = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "DICOM")


class LimitSettings(Settings):
    """What a request may cost, and what is refused before it costs anything."""

    most_body_bytes: int = Field(default=20_000_000, ge=1000, le=10_000_000_000)
    """Bytes of a request's body; counted while it arrives, whatever it says of its length."""
    most_image_pixels: int = Field(default=50_000_000, ge=1, le=178_956_970)
    """Width times height that an image may state; looked at before anything is decoded."""
    most_images: int = Field(default=32, ge=1, le=10_000)
    """Images in one request."""
    formats: tuple[ImageFormat, ...] = Field(default=FORMATS, min_length=1)
    """Formats of images that are opened at all."""
    most_waiting: int = Field(default=256, ge=1, le=1_000_000)
    """Images of all requests that may wait for a model; the next request is refused with 503 and told when to come
    again."""
    most_waiting_bytes: int = Field(default=256_000_000, ge=1000, le=1_000_000_000_000)
    """Bytes of images that may wait for a model."""
    most_connections: int = Field(default=1000, ge=1, le=100_000)
    """Connections that are answered at once, as far as the operating system's limit of open files reaches."""
    head_seconds: float = Field(default=10.0, gt=0, le=3600)
    """For a new connection to send a request's address and headers."""
    body_seconds: float = Field(default=30.0, gt=0, le=3600)
    """For a request's body to come."""
    deadline_seconds: float = Field(default=15.0, gt=0, le=3600)
    """A request that has no answer by then gets none; what would come too late is not computed."""
    model_seconds: float = Field(default=10.0, gt=0, le=3600)
    """A model that has not answered by then is taken to hang: it is ended and begun anew, another model is asked."""


class BatchSettings(Settings):
    """How images of several requests are computed together."""

    most_batch_images: int = Field(default=16, ge=1, le=4096)
    """Images that are computed at once."""
    wait_milliseconds: float = Field(default=0.0, ge=0, le=1000)
    """How long an image waits for others; 0: what came while the model was busy is computed together, and an idle model
    begins at once."""


class ModelProcessSettings(Settings):
    """The process in which a model runs, each in its own."""

    runtime: str = "auto"
    """`auto`, or what the package is run in: `torch`, `openvino`, `onnx`."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""
    threads: int = Field(default=0, ge=0, le=4096)
    """Threads that a model computes with; 0: as many as there are cores."""
    memory_gb: float | None = Field(default=None, gt=0, le=100_000)
    """Memory that the process may take in all, in 10^9 bytes, so that it fails alone; None: no limit."""
    load_seconds: float = Field(default=300.0, gt=0, le=86_400)
    """A model that is not ready by then has failed to load."""
    probe_every_seconds: float = Field(default=5.0, gt=0, le=15)
    """A model that has not answered for so long is asked about an image made from formulas, so that what hangs or is
    left alone is noticed, and being ready means something."""
    restart_seconds: float = Field(default=0.5, gt=0, le=3600)
    """After so long a process that ended is begun anew; each time that it ends again soon, after twice as long."""
    most_restart_seconds: float = Field(default=60.0, gt=0, le=86_400)
    """The longest such wait."""


class ServingSettings(Settings):
    """What can be set for `serve`; `ServingSettings.gather` takes all of it by its own names."""

    host: str = Field(default="127.0.0.1", min_length=1, max_length=255)
    """The address that is listened on; `0.0.0.0`: all of this machine's, for which a key is needed."""
    port: int = Field(default=8000, ge=0, le=65_535)
    """0: one that is free."""
    state: str = Field(default="runs/serve.sqlite", min_length=1, max_length=1000)
    """Where routes and figures are kept: a file for SQLite, `postgresql://USER:PASSWORD@HOST/NAME` for several servers
    together, or `none`."""
    server: str | None = Field(default=None, pattern=r"[A-Za-z0-9._:-]{1,64}")
    """What this server is called among those that share a state; None: machine and port."""
    predict_key_file: Path | None = None
    """File of keys, one a line; whoever predicts needs one. `VITRAIL_PREDICT_KEY` is another."""
    admin_key_file: Path | None = None
    """File of keys for figures, console and routes. `VITRAIL_ADMIN_KEY` is another."""
    allow_without_key: bool = False
    """Whether everybody who reaches an address beyond this machine may use the server, where no key is set."""
    drain_seconds: float = Field(default=30.0, ge=0, le=3600)
    """When the server is asked to end, how long requests that it has taken may still take."""
    limits: LimitSettings
    """What a request may cost."""
    batches: BatchSettings
    """How images are computed together."""
    breakers: BreakerSettings
    """When a model that fails is left alone."""
    process: ModelProcessSettings
    """How a model is run."""
    health: HealthLimits
    """From where on an arm is called unwell."""
    keeping: KeeperSettings
    """How figures are kept."""
    truths: TruthSettings
    """How groups are compared, where truth comes back."""
    kept_images: KeptImageSettings
    """Whether images of users are kept."""

    @model_validator(mode="after")
    def _limits_are_reachable(self) -> "ServingSettings":
        limits, breakers, process = self.limits, self.breakers, self.process
        _refuse_above("model_seconds", limits.model_seconds, "deadline_seconds", limits.deadline_seconds)
        _refuse_above("model_seconds", limits.model_seconds, "probe_seconds", breakers.probe_seconds)
        _refuse_above("open_seconds", breakers.open_seconds, "most_open_seconds", breakers.most_open_seconds)
        _refuse_above("restart_seconds", process.restart_seconds, "most_restart_seconds", process.most_restart_seconds)
        _refuse_above("most_images", limits.most_images, "most_waiting", limits.most_waiting)
        _refuse_above("most_body_bytes", limits.most_body_bytes, "most_waiting_bytes", limits.most_waiting_bytes)
        return self


def _refuse_above(name: str, value: float | int, limit_name: str, limit: float | int) -> None:
    if value > limit:
        raise InputError(
            f"{name} is {value:,.12g}, {limit_name} is {limit:,.12g}",
            hint=f"{name} must not be larger than {limit_name}",
        )
