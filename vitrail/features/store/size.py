"""How large a store will be: told before anything is computed, refused where it cannot fit, cut into shards."""

from collections.abc import Sequence

from vitrail.basics.errors import SystemFault
from vitrail.basics.events import Emit, Noted
from vitrail.basics.files import free_bytes
from vitrail.data.image_list import ImageList
from vitrail.features.store.manifest import Manifest, Output
from vitrail.features.store.writer import StoreWriter

SHARD_BYTES = 100_000_000
"""About the size of a shard: few files for a million images, and none that is unwieldy."""
_ROW_BYTES = 150  # id, path, label and split of one image, roughly


def rows_per_shard(outputs: Sequence[Output], batch_size: int) -> int:
    """Rows of a shard of about `SHARD_BYTES`: whole batches, one at least."""
    return max(1, SHARD_BYTES // _row_bytes(outputs) // batch_size) * batch_size


def tell_size(
    images: ImageList, outputs: tuple[Output, ...], writer: StoreWriter, before: Manifest | None, *, emit: Emit
) -> None:
    """Say how much there will be, and refuse what cannot fit.

    Args:
        images: that are to be in the store.
        outputs: that are kept of each.
        writer: of the store, before `begin`.
        before: the manifest of the store that rows are added to; None for a new one.
        emit: receives the words.

    Raises:
        SystemFault: it cannot.
    """
    row = _row_bytes(outputs)
    # Which images are in the store already is known only once they are read.
    most = len(images) - (writer.seen_of(images) if before else 0)
    least = min(most, max(0, len(images) - writer.rows_there)) if before else most
    needed, free = least * row + min(SHARD_BYTES, least * row), free_bytes(writer.folder)
    what = " + ".join(f"{each.name} {'×'.join(map(str, each.shape))}" for each in outputs)
    upto = "up to " if not least else f"{least:,} to " if least < most else ""
    size = f"{_size(least * row)} to {_size(most * row)}" if 0 < least < most else f"{upto}{_size(most * row)}"
    images_said = "1 image" if most == 1 else f"{most:,} images"
    words = f"{upto}{images_said} × ({what}) in {outputs[0].kept}: {size}, {_size(free)} are free"
    emit(Noted(f"store    {words}"))
    if not images.labelled:
        emit(Noted("labels   none: the data has no class folders and no column 'label' (--columns label=…)", "warning"))
    if needed > free:
        raise SystemFault(
            f"{writer.folder}: the disk is too small: {words}, {_size(needed)} are needed while it is written",
            hint="reduce nodes, e.g. blocks.3=mean, halve it with --dtype float16, or choose another --out",
        )


def _row_bytes(outputs: Sequence[Output]) -> int:
    return sum(each.row_bytes for each in outputs) + _ROW_BYTES


def _size(count: int) -> str:
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.3g} {unit}"
