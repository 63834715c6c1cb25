"""What `import vitrail` gives: light at the door, and everything in sight."""

import ast
import importlib
import inspect
import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

import vitrail
from vitrail.pages.shown_as_text import ShownAsText


def typed_names():
    """The names that type checkers see."""
    tree = ast.parse(Path(vitrail.__file__).read_text())
    block, _ = (node for node in tree.body if isinstance(node, ast.If))
    return {alias.name: node.module for node in block.body for alias in node.names}


def test_type_checkers_readers_and_python_see_the_same_names():
    assert typed_names() == vitrail._MODULES
    assert sorted(vitrail.__all__) == sorted(vitrail._MODULES)
    assert set(vitrail.__all__) <= set(dir(vitrail))


@pytest.mark.parametrize("name", vitrail.__all__)
def test_a_public_name_is_the_function_that_does_it_with_its_whole_signature_and_docstring(name):
    function = getattr(vitrail, name)
    assert inspect.isfunction(function) and function.__module__ == vitrail._MODULES[name]
    parameters = inspect.signature(function).parameters.values()
    assert all(each.annotation is not inspect.Parameter.empty for each in parameters)
    text = pydoc.render_doc(function, renderer=pydoc.plaintext)
    assert name == "nobody" or ("Args:" in text and all(f"{each.name}: " in text for each in parameters))


@pytest.mark.parametrize("name", ["check", "compare", "fit", "plan", "pretrain_formula", "write_features"])
def test_what_takes_long_shows_its_progress_where_nothing_else_is_said_and_says_how_to_silence_it(name):
    function = getattr(vitrail, name)
    assert inspect.signature(function).parameters["emit"].default is None
    assert "None: bars on a terminal and in a notebook; `vitrail.nobody`: silence." in inspect.getdoc(function)


def test_a_name_that_there_is_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'vitrail' has no attribute 'train'"):
        _ = vitrail.train


def test_importing_vitrail_and_its_lighter_functions_imports_nothing_heavy():
    code = (
        "import sys, vitrail\n"
        "light = {name for name in sys.modules if name.startswith('vitrail')}\n"
        "vitrail.check, vitrail.fit, vitrail.plan, vitrail.table, vitrail.nobody\n"
        "print(sorted(light), {'torch', 'timm', 'sklearn', 'scipy', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "['vitrail'] set()", done.stdout + done.stderr


def test_a_type_checker_knows_arguments_and_results(tmp_path):
    api = pytest.importorskip("mypy.api")
    script, settings = tmp_path / "script.py", tmp_path / "mypy.ini"
    script.write_text(
        "import vitrail\nresult = vitrail.fit('photos', seed=1)\nreveal_type(result)\nreveal_type(result.package)\n"
        "vitrail.fit('photos', workers='two')\nvitrail.train\n"
    )
    followed = ("vitrail", "vitrail.workflows.fit.call", "vitrail.workflows.fit.result")  # all of it takes 35 s
    looked_at = "".join(f"[mypy-{name}]\nfollow_imports = silent\n" for name in followed)
    settings.write_text(f"[mypy]\nfollow_imports = skip\ncache_dir = {tmp_path}\n{looked_at}")
    told, _, _ = api.run([str(script), "--strict", "--config-file", str(settings)])
    assert 'Revealed type is "vitrail.workflows.fit.result.FitResult"' in told
    assert 'Revealed type is "pathlib.Path"' in told
    assert 'Argument "workers" to "fit" has incompatible type "str"' in told
    assert 'Module has no attribute "train"' in told


RESULTS = {
    "vitrail.rollout.admission.result": "AdmissionResult",
    "vitrail.rollout.versions_shown": "ShownVersions",
    "vitrail.workflows.compare": "ComparisonResult",
    "vitrail.data.inspection": "Inspection",
    "vitrail.workflows.features.write": "FeaturesResult",
    "vitrail.workflows.fit.plan": "PlanResult",
    "vitrail.workflows.fit.result": "FitResult",
    "vitrail.workflows.nodes": "NodesResult",
    "vitrail.workflows.pretrain.formula": "PretrainResult",
    "vitrail.workflows.study.staged": "StagedStudy",
    "vitrail.workflows.study.starter": "StarterStudy",
}


@pytest.mark.parametrize("module", RESULTS)
def test_every_result_shows_itself_as_text_and_not_as_the_fields_it_has(module):
    kind = getattr(importlib.import_module(module), RESULTS[module])
    assert issubclass(kind, ShownAsText) and kind.__repr__ is ShownAsText.__repr__
    assert kind.lines is not ShownAsText.lines
