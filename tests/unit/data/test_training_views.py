import itertools
import math
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from tests.conftest import picture
from vitrail.basics.errors import SystemFault, UnreadableImageError
from vitrail.data.augmentation import AugmentationSettings, augmented_pixels
from vitrail.data.preprocessing import Preprocessing
from vitrail.data.reading import read_image
from vitrail.data.tone import Tone
from vitrail.data.training_views import View, view_batches

PREPROCESSING = Preprocessing(height=24, width=32)
SETTINGS = AugmentationSettings(rotation_degrees=5.0)
UNCHANGED = AugmentationSettings(smallest_crop=1.0, flip=False, brightness=0.0, contrast=0.0)


class Deadly(Preprocessing):
    """Ends the process that uses it, as the system does where memory is short."""

    def pixels(self, image: Image.Image) -> np.ndarray:
        os._exit(1)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """One picture in every way that files hold them: colour, grey, 16 bits, a palette, transparency, turned."""
    turned = Image.Exif()
    turned[0x0112] = 6
    deep = Image.fromarray((np.arange(40 * 32, dtype=np.uint16) * 50).reshape(32, 40))
    pictures = {
        "colour.png": picture(1), "grey.png": picture(2).convert("L"), "deep.png": deep,
        "palette.gif": picture(3).convert("P"), "clear.png": picture(4).convert("RGBA"), "one.bmp": picture(5),
    }  # fmt: skip
    for name, image in pictures.items():
        image.save(tmp_path / name)
    picture(6).save(tmp_path / "turned.jpg", exif=turned)
    frames = [picture(seed) for seed in (7, 8)]
    frames[0].save(tmp_path / "frames.tiff", save_all=True, append_images=frames[1:])
    return sorted(str(path) for path in tmp_path.iterdir())


def views_of(files: list[str], count: int = 40) -> list[View]:
    return [((path, 0), seed) for seed, path in zip(range(count), itertools.cycle(files), strict=False)]


def in_lists_of(size: int, views: list[View]) -> list[list[View]]:
    return [views[start : start + size] for start in range(0, len(views), size)]


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("channels", [1, 3])
def test_views_depend_on_image_and_seed_alone(files, workers, channels):
    preprocessing = PREPROCESSING.model_copy(update={"channels": channels})
    views = views_of(files)
    alone = [augmented_pixels(read_image(path), preprocessing, SETTINGS, seed=seed) for (path, _), seed in views]
    for size in (1, 7, 40):
        batches = list(view_batches(in_lists_of(size, views), preprocessing, SETTINGS, workers=workers))
        assert [len(batch) for batch in batches] == [len(batch) for batch in in_lists_of(size, views)]
        assert np.array_equal(np.concatenate(batches), np.stack(alone))


def test_the_order_of_views_is_the_order_asked_for(files):
    views = views_of(files)
    (forth,) = view_batches([views], PREPROCESSING, SETTINGS, workers=2)
    (back,) = view_batches([views[::-1]], PREPROCESSING, SETTINGS, workers=2)
    assert np.array_equal(forth, back[::-1])


@pytest.mark.parametrize("settings", [SETTINGS, UNCHANGED])
def test_a_frame_and_the_white_of_16_bit_images_are_as_asked(files, settings):
    path = next(name for name in files if name.endswith("frames.tiff"))
    deep = next(name for name in files if name.endswith("deep.png"))
    dark = PREPROCESSING.model_copy(update={"tone": Tone(white=30000)})
    (batch,) = view_batches([[((path, 1), 3), ((deep, 0), 3)]], dark, settings, workers=0)
    expected = [read_image(path, frame=1), read_image(deep, tone=Tone(white=30000))]
    assert np.array_equal(batch, np.stack([augmented_pixels(image, dark, settings, seed=3) for image in expected]))


@pytest.mark.parametrize("workers", [0, 2])
def test_without_any_change_batches_are_what_validation_sees(files, workers):
    (batch,) = view_batches([views_of(files)], PREPROCESSING, UNCHANGED, workers=workers)
    seen = [PREPROCESSING.pixels(read_image(path)) for (path, _), _ in views_of(files)]
    assert np.array_equal(batch, np.stack(seen))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_keep_their_own_lengths(files, workers):
    lists = [views_of(files, count) for count in (5, 0, 1, 12, 0)]
    shapes = [batch.shape for batch in view_batches(lists, PREPROCESSING, SETTINGS, workers=workers)]
    assert shapes == [(5, 24, 32, 3), (0, 24, 32, 3), (1, 24, 32, 3), (12, 24, 32, 3), (0, 24, 32, 3)]
    assert list(view_batches([], PREPROCESSING, SETTINGS, workers=workers)) == []


def test_an_endless_stream_is_read_ahead_across_batches_but_not_without_bound(files):
    taken = []

    def endless():
        for seed in itertools.count():
            taken.append(seed)
            yield [((files[0], 0), seed)] * 3

    batches = view_batches(endless(), PREPROCESSING, SETTINGS, workers=2)
    # 4 chunks of 8 views per worker, in batches of 3.
    assert len(taken) == math.ceil(4 * 2 * 8 / 3)
    for _ in range(10):
        next(batches)
    assert len(taken) <= math.ceil((4 * 2 * 8 + 10 * 3 + 8) / 3)


def test_without_workers_nothing_is_read_before_it_is_asked_for(files):
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield views_of(files, 3)

    batches = view_batches(endless(), PREPROCESSING, SETTINGS, workers=0)
    next(batches)
    next(batches)
    assert len(taken) == 2


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("settings", [SETTINGS, UNCHANGED])
def test_an_unreadable_file_is_named(files, tmp_path, workers, settings):
    cut = tmp_path / "cut.jpg"
    picture(1, size=(900, 700)).save(cut)
    cut.write_bytes(cut.read_bytes()[:-4000])
    with pytest.raises(UnreadableImageError, match=r"cut\.jpg: is truncated: .*\nhint: fetch the file again"):
        list(view_batches([[*views_of(files), ((str(cut), 0), 1)]], PREPROCESSING, settings, workers=workers))


def test_a_worker_that_dies_is_told(files):
    with pytest.raises(SystemFault, match="a worker process died while reading images"):
        list(view_batches([views_of(files)], Deadly(), UNCHANGED, workers=1))


@pytest.fixture
def drafted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The sizes that JPEG files were decoded at, in the order of decoding."""
    sizes: list[tuple[int, int]] = []
    load = JpegImageFile.load

    def noted(image: JpegImageFile):
        if image.tile:
            sizes.append(image.size)
        return load(image)

    monkeypatch.setattr(JpegImageFile, "load", noted)
    return sizes


@pytest.mark.parametrize(
    ("size", "settings", "expected"),
    [((640, 480), SETTINGS, (160, 120)), ((480, 640), SETTINGS, (120, 160)), ((320, 240), SETTINGS, (160, 120)),
     ((160, 120), SETTINGS, (160, 120)), ((1280, 960), SETTINGS, (160, 120)),
     ((640, 480), SETTINGS.model_copy(update={"smallest_crop": 0.1}), (320, 240)),
     ((640, 480), SETTINGS.model_copy(update={"smallest_crop": 0.4, "aspect_jitter": 4.0}), (320, 240)),
     ((2000, 60), SETTINGS, (2000, 60)), ((640, 480), UNCHANGED, (640, 480))],
)  # fmt: skip
def test_a_large_jpeg_is_decoded_smaller_but_every_crop_keeps_twice_the_views_pixels(
    size, settings, expected, drafted, tmp_path
):
    picture(1, size=size).save(tmp_path / "large.jpg")
    place, preprocessing = (str(tmp_path / "large.jpg"), 0), Preprocessing(height=24, width=24)
    list(view_batches([[(place, 1)]], preprocessing, settings, workers=0))
    assert drafted == [expected]
    if expected != size:
        smallest = math.sqrt(expected[0] * expected[1] * settings.smallest_crop / settings.aspect_jitter)
        assert smallest >= 2 * 24


@pytest.mark.parametrize("kind", ["JPEG", "MPO"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_view_of_a_large_jpeg_looks_like_that_of_the_whole_picture(kind, orientation, drafted, tmp_path):
    path, exif = str(tmp_path / "large.jpg"), Image.Exif()
    exif[0x0112] = orientation
    picture(1, size=(800, 600)).save(path, kind, exif=exif, quality=95)
    batch = next(view_batches([[((path, 0), seed) for seed in range(20)]], PREPROCESSING, SETTINGS, workers=0))
    assert set(drafted) == {(200, 150)}
    for seed, view in enumerate(batch):
        whole = augmented_pixels(read_image(path), PREPROCESSING, SETTINGS, seed=seed)
        assert np.abs(view.astype(int) - whole).mean() < 1.5
