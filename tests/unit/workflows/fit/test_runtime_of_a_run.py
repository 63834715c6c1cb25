import json
import sys

import pytest

import vitrail
from vitrail.basics.errors import SettingsError, SystemFault
from vitrail.prediction.runtimes.known import is_installed, named_runtime

RUNTIME = "openvino bfloat16" if is_installed(named_runtime("openvino bfloat16")) else "torch bfloat16"
CALL = {"model": "test_vit", "pretrained": False, "image_size": 32, "workers": 0, "runtime": RUNTIME, "device": "cpu",
        "stages": "head,top", "head_epochs": 1, "top_epochs": 1, "cache": "on", "views": 1}  # fmt: skip


def interrupted(folder, out, monkeypatch):
    from vitrail.workflows.fit import finish as recipe

    with monkeypatch.context() as patch:
        patch.setattr(recipe, "learn_heads", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            vitrail.fit(folder, **CALL, out=out)


def test_a_run_is_continued_in_the_runtime_of_its_journal_and_refused_where_that_is_gone(
    write_images, tmp_path, monkeypatch
):
    monkeypatch.setenv("VITRAIL_CACHE", str(tmp_path / "own"))
    folder, out = write_images({"cat": 20, "dog": 20}), tmp_path / "run"
    interrupted(folder, out, monkeypatch)
    noted = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]
    (choice,) = [line for line in noted if line["decision"] == "runtime"]
    assert choice["runtime"] == RUNTIME
    assert [trial["runtime"] for trial in choice["trials"]] == ["torch float32", RUNTIME]
    library = RUNTIME.split()[0]
    if library == "openvino":
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "openvino", None)
            with pytest.raises(SystemFault) as caught:
                vitrail.fit(folder, **CALL, out=out)
        assert str(caught.value) == (
            f"{out}: the run was begun with {RUNTIME}, and openvino is not installed any more\n"
            "hint: pip install 'vitrail[openvino]', or begin anew with --overwrite"
        )
    result = vitrail.fit(folder, **CALL, out=out)
    assert f"Training features in {RUNTIME}: " in result.report.read_text()
    assert result.package.exists()
    if library == "openvino":
        contents = (tmp_path / "own").glob("runtimes/*/contents.json")
        read = {json.loads(path.read_text())["built_from"]["readout"] for path in contents}
        assert "features and logits" in read
        assert any(each.startswith("states from place 0 ") for each in read)  # of the stages' frozen layers, too
    assert (out / "journal.jsonl").read_text().count('"decision": "runtime"') == 1


def test_a_misspelled_runtime_is_refused_with_the_other_settings(write_images):
    folder = write_images({"cat": 10, "dog": 10})
    with pytest.raises(SettingsError, match=r"runtime: there is no runtime 'onx': did you mean onnx"):
        vitrail.fit(folder, **{**CALL, "runtime": "onx"})
