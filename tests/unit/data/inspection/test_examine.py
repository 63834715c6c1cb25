import hashlib
import pickle

import numpy as np
import pytest
from PIL import Image, ImageEnhance, PngImagePlugin

from tests.unit.data.inspection.rows import blurred, saved
from vitrail.data.inspection.examine import examine
from vitrail.data.inspection.near_duplicates import LEAST_SIMILARITY, RADIUS


def bits_apart(one, other) -> int:
    return (one.perceptual_hash ^ other.perceptual_hash).bit_count()


def similarity(one, other) -> float:
    left, right = (np.frombuffer(facts.sketch, np.int8).astype(float) for facts in (one, other))
    return float(left @ right / np.linalg.norm(left) / np.linalg.norm(right))


def alike(one, other) -> bool:
    return bits_apart(one, other) <= RADIUS and similarity(one, other) >= LEAST_SIMILARITY


def test_a_file_is_known_by_the_hash_of_its_bytes_and_its_frame(tmp_path):
    path = saved(blurred(1), tmp_path / "a.png")
    digest = hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()
    assert examine(path).id == digest[:32]
    frames = [blurred(number, size=(40, 30)) for number in range(3)]
    series = saved(frames[0], tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    assert examine(series, 2).id == examine(series).id + ":2"
    assert examine(series).frames == 3
    assert bits_apart(examine(series), examine(series, 2)) > RADIUS


def test_the_sides_of_a_nearly_square_photograph_are_not_taken_for_each_other(tmp_path):
    Image.new("RGB", (500, 499), "grey").save(tmp_path / "a.jpg")  # square where it is decoded at a quarter
    facts = examine(str(tmp_path / "a.jpg"))
    assert (facts.width, facts.height) == (500, 499)


def test_what_is_told_of_a_photograph(tmp_path):
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0131], exif[0x0112] = "Leica ", "Q3\0", "Darktable", 6
    path = saved(blurred(1, size=(300, 200)), tmp_path / "a.jpg", exif=exif)
    facts = examine(path)
    assert (facts.fault, facts.format, facts.mode, facts.frames) == (None, "JPEG", "RGB", 1)
    assert (facts.width, facts.height) == (200, 300)
    assert (facts.camera, facts.software) == ("Leica Q3", "Darktable")
    assert facts.size_bytes == (tmp_path / "a.jpg").stat().st_size
    assert pickle.loads(pickle.dumps(facts)) == facts


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.webp"])
def test_sizes_are_those_of_the_upright_picture(tmp_path, name):
    exif = Image.Exif()
    exif[0x0112] = 8
    facts = examine(saved(blurred(1, size=(300, 200)), tmp_path / name, exif=exif))
    assert (facts.width, facts.height) == (200, 300)


def test_the_program_named_in_a_png_is_told(tmp_path):
    text = PngImagePlugin.PngInfo()
    text.add_text("Software", "Paint 3")
    assert examine(saved(blurred(1), tmp_path / "a.png", pnginfo=text)).software == "Paint 3"


def test_the_greatest_value_of_16_bit_grey_is_told(tmp_path):
    deep = Image.fromarray((np.arange(64 * 64, dtype=np.uint16) % 4000).reshape(64, 64))
    assert examine(saved(deep, tmp_path / "a.png")).white == 3999
    assert examine(saved(blurred(1), tmp_path / "b.png")).white == 0


def test_the_preview_inside_a_camera_file_is_no_second_frame(tmp_path):
    path = saved(blurred(1), tmp_path / "a.mpo", format="MPO", save_all=True, append_images=[blurred(2)])
    assert (examine(path).format, examine(path).frames) == ("MPO", 1)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty (0 bytes)"),
        (b"not a picture", "is not an image but text"),
        (None, "does not exist"),
    ],
)
def test_a_bad_file_is_described_and_never_raises(tmp_path, content, fault):
    path = tmp_path / "bad: name.jpg"
    if content is not None:
        path.write_bytes(content)
    facts = examine(str(path))
    assert facts.fault == fault
    assert (facts.width, facts.format, facts.size_bytes) == (0, "", len(content or b""))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("missing", [3000, 300, 30])
def test_the_fast_look_at_a_jpeg_still_notices_missing_bytes(tmp_path, progressive, missing):
    path = tmp_path / "a.jpg"
    saved(blurred(1, size=(640, 480), detail=60), path, quality=90, progressive=progressive)
    path.write_bytes(path.read_bytes()[:-missing])
    assert (examine(str(path)).fault or "").startswith("is truncated: ")


@pytest.mark.parametrize(
    "change",
    [
        lambda image: (image, {"quality": 50}),
        lambda image: (image.resize((160, 120), Image.Resampling.BICUBIC), {"quality": 90}),
        lambda image: (ImageEnhance.Brightness(image).enhance(1.1), {"quality": 90}),
        lambda image: (ImageEnhance.Contrast(image).enhance(1.15), {"quality": 90}),
        lambda image: (image.crop((3, 2, 317, 238)), {"quality": 90}),
        lambda image: (image.convert("L"), {"quality": 90}),
    ],
    ids=["quality 50", "half size", "brighter", "more contrast", "2 % cropped", "grey"],
)
def test_a_changed_copy_is_a_near_duplicate(tmp_path, change):
    found = 0
    for seed in range(20):
        original = examine(saved(blurred(seed), tmp_path / f"{seed}.png"))
        image, options = change(blurred(seed))
        found += alike(original, examine(saved(image, tmp_path / f"{seed}.jpg", **options)))
    assert found >= 19


def test_a_copy_as_png_has_the_same_pixels_and_another_part_of_the_picture_is_no_copy(tmp_path):
    near = []
    for seed in range(8):
        whole = blurred(seed, detail=24)
        original = examine(saved(whole, tmp_path / f"{seed}.png"))
        again = examine(saved(whole, tmp_path / f"{seed} again.png", compress_level=1))
        assert bits_apart(original, again) == 0 and similarity(original, again) == pytest.approx(1)
        left, right = (examine(saved(whole.crop((x, 0, x + 160, 240)), tmp_path / f"{seed} {x}.png")) for x in (0, 160))
        near += [alike(left, right), alike(original, left), alike(original, right)]
    assert not any(near)


def test_different_pictures_are_not_near_duplicates(tmp_path):
    facts = [examine(saved(blurred(seed), tmp_path / f"{seed}.jpg")) for seed in range(60)]
    assert not any(alike(one, other) for index, one in enumerate(facts) for other in facts[:index])


def test_an_exif_turned_copy_looks_like_the_original(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = saved(blurred(1).transpose(Image.Transpose.ROTATE_90), tmp_path / "turned.jpg", exif=exif)
    assert alike(examine(turned), examine(saved(blurred(1), tmp_path / "a.jpg")))


def test_the_hash_is_the_usual_one(tmp_path):
    """Against the definition with SciPy's cosine transform: 8 × 8 lowest frequencies over their median."""
    from scipy.fft import dct

    image = blurred(3, size=(32, 32)).convert("L")
    frequencies = dct(dct(np.asarray(image, dtype=float), axis=0), axis=1)[:8, :8]
    bits = (frequencies > np.median(frequencies)).ravel()
    expected = int("".join("1" if bit else "0" for bit in bits), 2)
    # The cosine transforms scale their first term alike, so the bits must agree exactly.
    assert examine(saved(image, tmp_path / "a.png")).perceptual_hash == expected


def test_a_blank_picture_is_dominated_by_one_value_and_a_photograph_is_not(tmp_path):
    white = Image.new("RGB", (200, 100), "white")
    assert examine(saved(white, tmp_path / "a.jpg")).dominant_share == 1
    white.paste((0, 0, 0), (0, 0, 100, 100))
    assert examine(saved(white, tmp_path / "b.png")).dominant_share == pytest.approx(0.5, abs=0.05)
    assert examine(saved(blurred(1), tmp_path / "c.png")).dominant_share < 0.1


def test_copies_of_real_images_are_near_duplicates_and_different_ones_are_not(real_data, tmp_path):
    paths = sorted((real_data / "hymenoptera" / "val").glob("*/*.jpg"))[::4]
    originals = [examine(str(path)) for path in paths]
    found = 0
    for index, path in enumerate(paths):
        image = Image.open(path).convert("RGB")
        width, height = image.size
        cropped = image.crop((width // 100, height // 100, width - width // 100, height - height // 100))
        found += alike(originals[index], examine(saved(cropped, tmp_path / f"{index}.jpg", quality=60)))
    assert found >= 0.9 * len(paths)
    assert not any(alike(one, other) for index, one in enumerate(originals) for other in originals[:index])
