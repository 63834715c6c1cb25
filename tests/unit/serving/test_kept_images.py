"""Images of users are kept only where it was asked for, up to a bound, and no request waits for it."""

import asyncio
import os
import stat
import time
from pathlib import Path

import pytest

from tests.serving import file_of
from tests.unit.serving.made_up_service import made_up_service
from vitrail.basics.errors import InputError
from vitrail.serving import kept_images
from vitrail.serving.answering import Answer, Question
from vitrail.serving.console.cautions import cautions
from vitrail.serving.console.view import View
from vitrail.serving.kept_images import KeptImages, KeptImageSettings, extension_of, opened_kept_images
from vitrail.serving.served_model import Said
from vitrail.serving.settings import ServingSettings
from vitrail.traffic.routes import Arm

IDS = [f"{number:032x}" for number in range(10)]
ARMS = (Arm("ants", "ants", weight=1.0),)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept"


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_an_image_is_there_whole_under_its_requests_id_for_its_owner_alone(folder: Path) -> None:
    images = KeptImages(folder, most_bytes=10**9)
    contents = {"jpg": file_of(1), "png": file_of(2, "PNG"), "webp": file_of(3, "WEBP"), "bin": b"else"}
    for request_id, content in zip(IDS, contents.values(), strict=False):
        images.keep(request_id, content)
    images.stop()
    assert names(folder) == [f"{each}.{kind}" for each, kind in zip(IDS, contents, strict=False)]
    assert [(folder / name).read_bytes() for name in names(folder)] == list(contents.values())
    modes = {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}
    assert (stat.S_IMODE(folder.stat().st_mode), modes) == (0o700, {0o600})
    told = images.standing()
    assert (told["images"], told["dropped"], told["bytes"]) == (4, 0, sum(map(len, contents.values())))


def test_every_format_that_is_taken_has_its_name() -> None:
    kinds = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif", "BMP": "bmp", "GIF": "gif"}
    assert {kind: extension_of(file_of(1, kind)) for kind in kinds} == kinds
    assert extension_of(bytes(128) + b"DICM") == "dcm"


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "", "a" * 31, "A" * 32, "0" * 31 + "\n", "0" * 33])
def test_no_name_of_a_stranger_becomes_that_of_a_file(folder: Path, name: str) -> None:
    images = KeptImages(folder, most_bytes=10**9)
    images.keep(name, b"x")
    images.stop()
    assert names(folder) == [] and images.standing()["dropped"] == 1


def test_above_the_bound_the_oldest_go_also_those_of_an_earlier_server(folder: Path) -> None:
    first = KeptImages(folder, most_bytes=3500)
    for request_id in IDS[3:6]:
        first.keep(request_id, bytes(1000))
    first.stop()
    for age, request_id in enumerate(IDS[3:6]):
        os.utime(folder / f"{request_id}.bin", (1e9 + age, 1e9 + age))
    (folder / f".{IDS[9]}.partial").touch()
    (folder / "notes.txt").write_text("not ours")
    again = KeptImages(folder, most_bytes=3500)
    for request_id in IDS[:2]:
        again.keep(request_id, bytes(1000))
    again.stop()
    assert names(folder) == [*(f"{each}.bin" for each in (*IDS[:2], IDS[5])), "notes.txt"]
    assert again.standing()["removed"] == 2


def test_what_the_disk_cannot_take_in_time_is_dropped_at_once_and_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_images.KeptImages, "_write", lambda *_: time.sleep(0.3))
    images = KeptImages(folder, most_bytes=10**9)
    began = time.monotonic()
    for number in range(400):
        images.keep(f"{number:032x}", b"x")
    images.keep(IDS[0], bytes(kept_images.MOST_WAITING_BYTES))
    assert time.monotonic() - began < 0.2
    assert 400 - 258 <= images.standing()["dropped"] - 1 <= 400 - 256
    assert "were not kept: they came faster than the disk takes them." in images.standing()["sentence"]


def test_a_disk_that_fails_is_told_and_tried_again(folder: Path) -> None:
    images = KeptImages(folder, most_bytes=10**9)
    folder.rename(folder.with_name("away"))
    images.keep(IDS[0], b"x")
    end = time.monotonic() + 5
    while not images.standing()["dropped"]:
        assert time.monotonic() < end
        time.sleep(0.005)
    assert images.standing()["fault"] == "No such file or directory"
    folder.with_name("away").rename(folder)
    images.keep(IDS[1], b"x")
    images.stop()
    told = images.standing()
    assert (told["images"], told["dropped"], told["fault"]) == (1, 1, None)


def test_a_folder_that_others_may_read_is_refused(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o750)
    with pytest.raises(InputError) as refused:
        KeptImages(folder, most_bytes=10**9)
    assert str(refused.value) == (
        f"{folder}: others than its owner may look into it, and images of users would lie there\n"
        f"hint: chmod 700 {folder}, or name another folder for --keep-images"
    )


def test_nothing_is_kept_unless_it_was_asked_for() -> None:
    assert ServingSettings.gather().kept_images.keep_images is None
    assert opened_kept_images(KeptImageSettings()) is None
    service = made_up_service(ARMS)
    assert service.kept_images is None and service.standing()["kept_images"] is None
    assert "kept in" not in cautions(View(service))


def test_what_a_user_was_answered_is_kept_under_the_id_that_truth_is_told_for_and_the_console_says_so(
    folder: Path,
) -> None:
    service = made_up_service(ARMS, keep_images=folder)
    assert f"answered are kept in {folder}: none yet; the oldest go above 10 GB." in cautions(View(service))
    asked = Question(file_of(5), deadline=1e12)

    async def answer() -> Answer:
        async def ask(*_: object, **__: object) -> Said:
            return Said({"label": "ant", "probability": 0.9, "probabilities": {}}, 0.01)

        service.fleet.models["ants"].ask = ask  # type: ignore[method-assign]
        return await service.answering.answer(asked)

    told = asyncio.run(answer()).as_json()
    assert service.kept_images is not None
    service.kept_images.stop()
    assert (folder / f"{told['request_id']}.jpg").read_bytes() == asked.image
