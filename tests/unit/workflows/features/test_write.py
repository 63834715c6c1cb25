"""`vitrail.write_features` in this process, on a tiny model with random weights."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

import vitrail
from tests.conftest import picture
from vitrail.basics.errors import FindingsError, InputError, SystemFault
from vitrail.basics.events import Noted
from vitrail.data.loader import pixel_batches
from vitrail.features.store import size
from vitrail.features.store.manifest import Manifest
from vitrail.features.store.named_model import named_model
from vitrail.features.store.updates import Changes
from vitrail.models.heads import pooled_features
from vitrail.models.inputs import Pixels
from vitrail.prediction.normalise import Normalise
from vitrail.workflows.features.settings import FeaturesSettings

TINY = {"pretrained": False, "image_size": 32, "runtime": "torch float32", "batch_size": 4, "workers": 0}


def write(data, out, model="test_vit", **changes):
    return vitrail.write_features(model, data, **{"out": out, **TINY, **changes})


def expected(store, node):
    """Pooled features, or the mean over patches behind a block, computed plainly."""
    named = named_model(FeaturesSettings.gather(name="test_vit", pretrained=False, image_size=32).model, device="cpu")
    model, shown = named.ready.model, named.ready.preprocessing
    found = {}
    hook = model.get_submodule(node).register_forward_hook(lambda _m, _i, out: found.update(out=out)) if node else None
    rows = []
    for pixels in pixel_batches([(path, 0) for path in store.paths], shown, batch_size=4, workers=0):
        with torch.inference_mode():
            pooled = pooled_features(model, Normalise(shown, torch.device("cpu"))(Pixels(pixels)))
        rows.append(found["out"][:, model.num_prefix_tokens :].mean(1) if node else pooled)
    if hook:
        hook.remove()
    return torch.cat(rows).numpy()


def test_the_store_holds_what_the_model_makes_of_every_image_beside_its_label(write_images, tmp_path):
    folder = write_images({"train/cat": 5, "train/dog": 3, "val/cat": 2})
    result = write(folder, tmp_path / "store", nodes="pooled,blocks.2=mean")
    store = vitrail.open_features(tmp_path / "store")
    assert (result.counted.added, result.counted.known, len(store)) == (10, 0, 10)
    assert store.labels == ["cat"] * 5 + ["dog"] * 3 + ["cat"] * 2
    assert store.splits == ["train"] * 8 + ["val"] * 2
    np.testing.assert_allclose(store.numpy("pooled"), expected(store, None), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(store.numpy("blocks.2"), expected(store, "blocks.2"), rtol=1e-5, atol=1e-5)
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
    assert manifest["runtime"] == "torch float32"
    assert manifest["invariance"]["images"] == 4
    figures = manifest["invariance"]["outputs"]["pooled"]
    assert figures["to_float32"] == {"least_cosine": 1.0, "largest_relative_error": 0.0}
    assert 0.9999 < figures["to_batch_of_one"]["least_cosine"] <= 1.000001


def test_a_pattern_stands_for_every_module_that_it_matches_and_keeps_its_reduction(write_images, tmp_path):
    folder = write_images({"cat": 3})
    write(folder, tmp_path / "store", nodes="blocks.?=mean,pooled,blocks.2=mean")
    store = vitrail.open_features(tmp_path / "store")
    blocks = [name for name in store.outputs if name != "pooled"]
    assert len(blocks) > 2
    assert all(store.numpy(name).ndim == 2 for name in store.outputs)
    np.testing.assert_allclose(store.numpy("blocks.2"), expected(store, "blocks.2"), rtol=1e-5, atol=1e-5)


def test_the_report_tells_how_far_a_faster_runtime_and_half_precision_are_off(write_images, tmp_path):
    folder, told = write_images({"cat": 5}), []
    write(folder, tmp_path / "store", runtime="torch bfloat16 autocast", dtype="float16", emit=told.append)
    store = vitrail.open_features(tmp_path / "store")
    figures = store.manifest.invariance["outputs"]["pooled"]["to_float32"]
    exact = expected(store, None)[:4].astype(np.float64)
    ours = store.numpy()[:4].astype(np.float64)
    error = (np.abs(ours - exact).max(1) / np.abs(exact).max(1)).max()
    assert 0 < figures["largest_relative_error"] == pytest.approx(error, rel=0.01)
    assert store.numpy().dtype == np.float16
    lines = [event.text for event in told if isinstance(event, Noted)]
    assert any(line.startswith("agrees   with float32 on 4 images: cosine 0.99") for line in lines)


def test_a_misspelled_runtime_is_refused_before_the_model_is_loaded(tmp_path):
    with pytest.raises(InputError, match=r"^there is no runtime 'openvno': did you mean openvino"):
        write("no such data", tmp_path / "store", model="no such model", runtime="openvno")
    assert not (tmp_path / "store").exists()


def test_one_file_name_from_another_encoding_is_one_failure(write_images, tmp_path):
    folder = write_images({"cat": 3})
    os.rename(folder / "cat" / "000.png", os.fsencode(folder / "cat") + b"/b\xe4r.png")
    result = write(folder, tmp_path / "store", on_bad_image="skip")
    assert (result.counted.added, result.manifest.failures) == (2, 1)
    name = f"{folder}/cat/b\\xe4r.png"
    assert result.first_failures() == [f"{name}: its file name is not valid UTF-8"]
    with pytest.raises(FindingsError, match=r"^1 image could not be read and is missing from the store; "):
        result.refuse_failures()


def test_tokens_are_kept_beside_the_table(write_images, tmp_path):
    write(write_images({"cat": 5}), tmp_path / "store", nodes="norm,blocks.0=map")
    store = vitrail.open_features(tmp_path / "store")
    assert store.columns == ["id", "path", "frame", "label", "split"]
    tokens, grid = store.numpy("norm"), store.numpy("blocks.0")
    assert tokens.shape == (5, 5, 64)
    assert grid.shape == (5, 64, 2, 2)
    np.testing.assert_allclose(grid.mean(axis=(2, 3)), expected(store, "blocks.0"), rtol=1e-5, atol=1e-5)


def test_an_image_that_cannot_be_read_or_vanished_is_told_and_tried_again(write_images, tmp_path):
    folder = write_images({"cat": 9, "dog": 4})
    table = tmp_path / "table.csv"
    table.write_text("path,label\n" + "".join(f"{path},x\n" for path in sorted(folder.rglob("*.png"))))
    broken, gone = folder / "cat" / "003.png", folder / "dog" / "001.png"
    gone.rename(tmp_path / "elsewhere.png")
    broken.write_bytes(b"no image")
    with pytest.raises(FindingsError) as fault:
        write(table, tmp_path / "store")
    assert str(fault.value) == (
        "2 images could not be read and are missing from the store; "
        f"{tmp_path / 'store' / 'failures.parquet'} has all reasons:\n"
        f"  {broken}: is not an image but text\n"
        f"  {gone}: does not exist\n"
        "hint: mend them and run the same command again, it tries them only; or accept this with --on-bad-image skip"
    )
    store = vitrail.open_features(tmp_path / "store")
    assert len(store) == 11
    assert [(row["path"], row["reason"]) for row in store.failures.to_pylist()] == [
        (str(broken), f"{broken}: is not an image but text"),
        (str(gone), f"{gone}: does not exist"),
    ]
    assert write(table, tmp_path / "store", on_bad_image="skip").manifest.failures == 2
    (tmp_path / "elsewhere.png").rename(gone)
    assert write(table, tmp_path / "store", on_bad_image="skip").counted.added == 1
    picture(77).save(broken)
    again = write(table, tmp_path / "store")
    assert (again.counted.added, again.counted.known, again.manifest.failures) == (1, 12, 0)
    store = vitrail.open_features(tmp_path / "store")
    np.testing.assert_allclose(store.numpy(), expected(store, None), rtol=1e-5, atol=1e-5)


def test_an_image_behind_the_last_full_batch_that_cannot_be_read_is_told(write_images, tmp_path):
    folder = write_images({"cat": 5})
    (folder / "cat" / "004.png").write_bytes(b"no image")
    assert write(folder, tmp_path / "store", on_bad_image="skip").manifest.failures == 1
    assert len(vitrail.open_features(tmp_path / "store")) == 4


def test_a_copy_under_another_path_has_its_own_row_and_rows_of_other_images_stay(write_images, tmp_path):
    folder = write_images({"cat": 5})
    write(folder, tmp_path / "store")
    shutil.copytree(folder / "cat", tmp_path / "copy" / "tiger")
    result = write(tmp_path / "copy", tmp_path / "store", batch_size=None)
    assert (result.counted.added, result.counted.known) == (5, 0)
    assert result.changes == Changes(elsewhere=5)
    store = vitrail.open_features(tmp_path / "store")
    assert store.labels == ["cat"] * 5 + ["tiger"] * 5
    assert store.ids[:5] == store.ids[5:]
    np.testing.assert_array_equal(store.numpy()[:5], store.numpy()[5:])
    assert write(tmp_path / "copy", tmp_path / "store").counted.added == 0


def test_other_labels_and_splits_are_taken_over_and_the_bytes_are_those_of_a_new_store(write_images, tmp_path):
    paths = sorted(write_images({"cat": 9}).rglob("*.png"))
    table = tmp_path / "table.csv"

    def listed(labels, splits):
        rows = (f"{path},{label},{split}\n" for path, label, split in zip(paths, labels, splits, strict=True))
        table.write_text("path,label,split\n" + "".join(rows))
        return table

    write(listed("aaabbbccc", ["train"] * 9), tmp_path / "store", nodes="norm=tokens,pooled")
    again = write(listed("aaabbbccd", ["train"] * 7 + ["val", "test"]), tmp_path / "store", nodes="norm=tokens,pooled")
    assert (again.counted.added, again.counted.known, again.changes) == (0, 9, Changes(relabelled=2))
    write(table, tmp_path / "fresh", nodes="norm=tokens,pooled")
    for name in ("part-00000.parquet", "part-00000.safetensors"):
        kept, fresh = (tmp_path / place / "shards" / name for place in ("store", "fresh"))
        assert kept.read_bytes() == fresh.read_bytes()
    without = pd.DataFrame({"path": [str(path) for path in paths]})
    assert write(without, tmp_path / "store", nodes="norm=tokens,pooled").changes == Changes()
    assert "".join(vitrail.open_features(tmp_path / "store").labels) == "aaabbbccd"


def test_an_image_whose_content_has_changed_gets_a_new_row_in_place_of_the_old_one(write_images, tmp_path):
    folder = write_images({"cat": 6, "dog": 4})
    write(folder, tmp_path / "store", nodes="norm=tokens,pooled")
    for name in ("cat/001.png", "dog/003.png"):
        picture(len(name) + 90).save(folder / name)
    result = write(folder, tmp_path / "store", nodes="norm=tokens,pooled")
    assert (result.counted.added, result.counted.known, result.changes) == (2, 8, Changes(replaced=2))
    assert result.manifest.shards == (8, 2)
    store = vitrail.open_features(tmp_path / "store")
    assert [f"{Path(path).parent.name}/{Path(path).name}" for path in store.paths[-2:]] == [
        "cat/001.png",
        "dog/003.png",
    ]
    assert len(set(store.paths)) == 10
    np.testing.assert_allclose(store.numpy("pooled"), expected(store, None), rtol=1e-5, atol=1e-5)
    write(folder, tmp_path / "fresh", nodes="norm=tokens,pooled")
    fresh = vitrail.open_features(tmp_path / "fresh")
    order = [fresh.paths.index(path) for path in store.paths]
    np.testing.assert_allclose(store.numpy("norm"), fresh.numpy("norm")[order], rtol=1e-4, atol=1e-5)


def test_the_size_that_is_told_never_hides_images_that_are_new(write_images, tmp_path):
    def told(folder):
        lines = []
        write(folder, tmp_path / "store", emit=lines.append)
        return next(e.text for e in lines if isinstance(e, Noted) and e.text.startswith("store")).partition(", ")[0]

    assert told(write_images({"cat": 5})) == "store    5 images × (pooled 64) in float32: 2.03 kB"
    more = write_images({"cat": 3}, under="more", seed=40)
    assert told(more) == "store    up to 3 images × (pooled 64) in float32: up to 1.22 kB"


def test_identical_images_of_one_data_set_each_have_their_row(write_images, tmp_path):
    folder = write_images({"cat": 2})
    shutil.copytree(folder / "cat", folder / "dog")
    write(folder, tmp_path / "store")
    store = vitrail.open_features(tmp_path / "store")
    assert store.labels == ["cat", "cat", "dog", "dog"]
    assert store.ids[:2] == store.ids[2:]


def test_a_store_keeps_to_the_runtime_that_it_was_begun_with(write_images, tmp_path):
    folder = write_images({"cat": 3})
    write(folder, tmp_path / "store", runtime="torch bfloat16")
    write_images({"cat": 3}, under="images", seed=4)
    assert write(folder, tmp_path / "store", runtime="auto").manifest.runtime == "torch bfloat16"
    with pytest.raises(
        InputError, match=r"made in another way:\n  - runtime: was 'torch bfloat16', now 'torch float32'\nhint: "
    ):
        write(folder, tmp_path / "store", runtime="torch float32")


def test_other_weights_nodes_sizes_or_numbers_are_refused_and_replaced_when_asked(write_images, tmp_path):
    folder = write_images({"cat": 3})
    write(folder, tmp_path / "store")
    for change, words in (
        ({"nodes": "blocks.0=mean"}, "outputs.blocks.0: was None"),
        ({"image_size": 48}, "preprocessing.height: was 32, now 48"),
        ({"dtype": "float16"}, "outputs.pooled.kept: was 'float32', now 'float16'"),
        ({"model": "test_vit2"}, "weights_sha256: was "),
    ):
        with pytest.raises(InputError, match=words):
            write(folder, tmp_path / "store", **change)
    assert write(folder, tmp_path / "store", nodes="blocks.0=mean", overwrite=True).counted.added == 3
    assert list(vitrail.open_features(tmp_path / "store").outputs) == ["blocks.0"]


def test_rows_are_added_in_batches_as_large_as_the_stores_and_a_replacement_is_measured_anew(write_images, tmp_path):
    def interrupted(event):
        sizes.append(getattr(event, "by", None))
        if sizes.count(4) == 2:
            raise KeyboardInterrupt

    sizes = []
    write(write_images({"cat": 3}), tmp_path / "store")
    more = write_images({"cat": 9}, under="more", seed=30)
    with pytest.raises(KeyboardInterrupt):
        write(more, tmp_path / "store", batch_size=None, emit=interrupted)
    result = write(more, tmp_path / "store", nodes="blocks.0=mean", overwrite=True)
    assert result.counted.added == 9
    assert list(result.manifest.invariance["outputs"]) == ["blocks.0"]


def test_what_cannot_fit_is_refused_before_anything_is_computed(write_images, tmp_path, monkeypatch):
    folder = write_images({"cat": 3})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10_000, 9_000, 1_000))
    with pytest.raises(SystemFault) as refusal:
        write(folder, tmp_path / "store", nodes="norm")
    assert str(refusal.value) == (
        f"{tmp_path / 'store'}: the disk is too small: 3 images × (norm 5×64) in float32: 4.29 kB, 1 kB are free, "
        "8.58 kB are needed while it is written\n"
        "hint: reduce nodes, e.g. blocks.3=mean, halve it with --dtype float16, or choose another --out"
    )
    assert not (tmp_path / "store").exists()


def test_a_runtime_that_was_uninstalled_since_is_named_with_its_extra(write_images, tmp_path, monkeypatch):
    folder = write_images({"cat": 3})
    write(folder, tmp_path / "store")
    made = dataclasses.replace(Manifest.read(tmp_path / "store"), runtime="openvino float32")
    made.write(tmp_path / "store")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemFault) as fault:
        write(folder, tmp_path / "store", runtime="auto")
    assert str(fault.value) == (
        "the store was begun with openvino float32, and openvino is not installed any more\n"
        "hint: pip install 'vitrail[openvino]', or begin anew with --overwrite"
    )


def test_bad_requests_leave_nothing_behind(write_images, tmp_path):
    folder = write_images({"cat": 3})
    (tmp_path / "empty").mkdir()
    gone = pa.table({"path": [str(tmp_path / "a.png"), str(tmp_path / "b.png")]})
    for data, change, message in (
        (folder, {"nodes": "bloks.0=mean"}, r"no node 'bloks.0'"),
        (folder, {"nodes": "norm=kls"}, r"'kls' is no reduction"),
        (folder, {"runtime": "torch flot32"}, r"there is no runtime 'torch flot32': did you mean torch float32"),
        (folder, {"model": "test_vti"}, r"neither a folder nor a model"),
        (folder, {"dtype": "int8"}, r"dtype: Input should be 'float32' or 'float16'"),
        (tmp_path / "empty", {}, r"empty: no images found\nhint: expected a folder with images"),
        (tmp_path / "nowhere", {}, r"nowhere: there is no such folder or file"),
        (
            gone,
            {},
            r"none of the 2 images can be read; the first: .*a.png: does not exist\nhint: check the",
        ),
    ):
        with pytest.raises(InputError, match=message):
            write(data, tmp_path / "store", **change)
        assert not (tmp_path / "store").exists()


def test_data_without_labels_is_told_and_taken(write_images, tmp_path):
    told = []
    write(write_images({".": 3}), tmp_path / "store", emit=told.append)
    assert vitrail.open_features(tmp_path / "store").labels == [None] * 3
    assert (
        Noted("labels   none: the data has no class folders and no column 'label' (--columns label=…)", "warning")
        in told
    )


def test_a_pass_that_was_interrupted_goes_on_with_the_very_batches_it_would_have_had(
    write_images, tmp_path, monkeypatch
):
    folder = write_images({"cat": 30})
    for number in (3, 11, 12):
        (folder / "cat" / f"{number:03d}.png").write_bytes(b"no image")
    monkeypatch.setattr(size, "SHARD_BYTES", 4_000)
    call = {"on_bad_image": "skip", "nodes": "pooled,norm"}
    write(folder, tmp_path / "calm", **call)

    def leave(event, seen=[]):  # noqa: B006 - counts over the calls
        if getattr(event, "by", 0) == 4:
            seen.append(event)
            if len(seen) % 3 == 0:
                raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            write(folder, tmp_path / "left", emit=leave, **call)
    result = write(folder, tmp_path / "left", **call)
    assert result.counted.added < 27 - 12
    one, other = (
        {file.relative_to(tmp_path / name): file.read_bytes() for file in (tmp_path / name).rglob("*.*")}
        for name in ("calm", "left")
    )
    assert len(one) >= 7
    assert one == other


def test_a_package_is_used_with_its_own_preprocessing_and_not_bent(write_images, tmp_path):
    folder = write_images({"cat": 20, "dog": 20})
    vitrail.fit(folder, model="test_vit", pretrained=False, image_size=32, out=tmp_path / "run", workers=0,
                preset="quick", thumbnails=False)  # fmt: skip
    package = tmp_path / "run" / "package"
    vitrail.write_features(str(package), folder, out=tmp_path / "store", runtime="torch float32", workers=0)
    store = vitrail.open_features(tmp_path / "store")
    predictor = vitrail.load(package)
    pixels = next(pixel_batches([(store.paths[0], 0)], predictor.preprocessing, batch_size=1, workers=0))
    np.testing.assert_allclose(store.numpy()[0], predictor.answers_of(pixels).features[0], rtol=1e-4, atol=1e-5)
    assert store.manifest.weights_sha256 == predictor.package.digests["model.safetensors"]
    with pytest.raises(InputError) as refusal:
        vitrail.write_features(str(package), folder, out=tmp_path / "other", image_size=64)
    assert str(refusal.value) == (
        f"{package} is a package, which is used as it is; image_size was given beside it\n"
        "hint: leave it out, or name the model that the package was made from"
    )


def test_a_store_and_what_was_done_to_it_tell_what_is_in_it_and_how_it_is_opened(write_images, tmp_path):
    folder, out = write_images({"a": 2, "b": 2}), tmp_path / "store"
    done = write(folder, out)
    assert f"rows     4: 4 added, 0 were there; 0 images could not be read\nstore    {out}" in repr(done)
    assert repr(done).splitlines()[-1] == f"next     in Python: vitrail.open_features({str(out)!r}).numpy('pooled')"
    assert repr(vitrail.open_features(out)) == f"feature store {out}: 4 rows; pooled 64 float32"
