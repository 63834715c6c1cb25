"""Vectors of real images by the command, and what becomes of a store whose process is killed."""

import contextlib
import json
import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

import vitrail as library
from tests.processes import running
from tests.processes import vitrail as vitrail_command
from vitrail.features.store.manifest import UNFINISHED


def sample(real_data, folder, *, each=12):
    """Some real photographs, `each` of every class and split."""
    for split in ("train", "val"):
        for label in ("ants", "bees"):
            place = folder / split / label
            place.mkdir(parents=True)
            for file in sorted((real_data / "hymenoptera" / split / label).iterdir())[:each]:
                shutil.copy(file, place)
    return folder


def test_vectors_of_real_images_are_written_told_and_tell_the_classes_apart(vitrail, real_data, tmp_path):
    data = sample(real_data, tmp_path / "insects")
    model = f"local-dir:{real_data / 'vit_tiny_in1k'}"
    ended = vitrail(
        "features", model, data, "--nodes", "blocks.5=mean,norm=cls", "--out", tmp_path / "store", "--workers", 1
    )
    assert ended.code == 0, ended.err
    assert "48 images × (blocks.5 192 + norm 192) in float32: 80.9 kB, " in ended.err
    assert "agrees   with float32 on 8 images: cosine " in ended.err
    assert "rows     48: 48 added, 0 were there; 0 images could not be read" in ended.out
    store = library.open_features(tmp_path / "store")
    train, val = store.split("train"), store.split("val")
    vectors, queries = (
        (v / np.linalg.norm(v, axis=1, keepdims=True)) for v in (train.numpy("norm"), val.numpy("norm"))
    )
    nearest = np.array(train.labels)[(queries @ vectors.T).argmax(axis=1)]
    assert (nearest == np.array(val.labels)).mean() > 0.8
    (data / "train" / "ants" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    again = vitrail(
        "features", model, data, "--nodes", "blocks.5=mean,norm=cls", "--out", tmp_path / "store", "--json", "-q"
    )
    assert again.code == 1
    figures = json.loads(again.out)
    assert (figures["added"], figures["known"], figures["failures"]) == (0, 48, 1)
    assert again.err.startswith("error: 1 image could not be read and is missing from the store; ")
    assert "\n  " + str(data / "train" / "ants" / "broken.jpg") + ": is " in again.err
    accepted = vitrail(
        "features", model, data, "--nodes", "blocks.5=mean,norm=cls", "--out", tmp_path / "store", "-q",
        "--on-bad-image", "skip",
    )  # fmt: skip
    assert accepted.code == 0


def in_small_commits(*typed):
    """The command, with shards and pauses between commits that suit a few hundred images."""
    from vitrail.features.store import size, writer

    size.SHARD_BYTES, writer.SECONDS_BETWEEN_COMMITS = 400_000, 0.05
    vitrail_command(*typed)


def pass_under_way(folder, out):
    """In small batches, so that a fast machine is not done before it is killed."""
    typed = [
        "features", "test_vit", folder, "--set", "pretrained=false", "--set", "image_size=64", "--nodes",
        "blocks.0=mean,norm,pooled", "--out", out, "--runtime", "torch float32", "--quiet", "--on-bad-image", "skip",
        "--workers", "1", "--batch-size", "2",
    ]  # fmt: skip
    return running(in_small_commits, *typed, printed=Path(f"{out}.printed"))


def position(out):
    with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
        return json.loads((out / UNFINISHED / "state.json").read_text())["position"]
    return 0


def content(folder):
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def wait_beyond(out, reached, process, *, seconds=120):
    """Until the pass has committed more than `reached` images, or ended."""
    deadline = time.monotonic() + seconds
    while position(out) <= reached and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)


@pytest.mark.slow
def test_a_pass_killed_again_and_again_leaves_the_bytes_of_an_undisturbed_one(write_images, tmp_path):
    folder = write_images({"cat": 500, "dog": 300})
    for number in (0, 77, 499):
        (folder / "cat" / f"{number:03d}.png").write_bytes(b"no image")
    with pass_under_way(folder, tmp_path / "calm") as undisturbed:
        assert undisturbed.wait(300) == 0, (tmp_path / "calm.printed").read_text()
    chance, reached = random.Random(0), []
    for _ in range(4):
        with pass_under_way(folder, tmp_path / "killed") as process:
            wait_beyond(tmp_path / "killed", reached[-1] if reached else 0, process)
            time.sleep(chance.uniform(0, 0.05))
            process.kill_with_its_workers()
        reached.append(position(tmp_path / "killed"))
    assert reached == sorted(set(reached)), "every process got further than the one before"
    with pass_under_way(folder, tmp_path / "killed") as last:
        assert last.wait(300) == 0, (tmp_path / "killed.printed").read_text()
    calm, killed = content(tmp_path / "calm"), content(tmp_path / "killed")
    assert len(calm) > 6
    assert killed == calm
    assert len(set(library.open_features(tmp_path / "killed").paths)) == 797


@pytest.mark.slow
def test_ctrl_c_ends_with_130_says_how_to_go_on_and_keeps_every_row(write_images, tmp_path):
    folder = write_images({"cat": 500})
    with pass_under_way(folder, tmp_path / "store") as process:
        wait_beyond(tmp_path / "store", 0, process)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130, (tmp_path / "store.printed").read_text()
    printed = (tmp_path / "store.printed").read_text()
    assert "stopped; the same command continues where it was:\n  vitrail features test_vit " in printed
    assert "Traceback" not in printed
    assert 0 < position(tmp_path / "store") < 500
    with pass_under_way(folder, tmp_path / "store") as process:
        assert process.wait(300) == 0
    assert len(library.open_features(tmp_path / "store")) == 500
