"""The house rules that a machine can hold."""

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OUR_OWN = {"vitrail", "benchmarks", "tools", "tests"}
MODULES = sorted((ROOT / "vitrail").rglob("*.py"))
FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc", "manager", "core", "base"}
LIGHT = ["vitrail", "vitrail.cli.main", "vitrail.workflows.check", "vitrail.workflows.fit.start",
         "vitrail.workflows.fit.call", "vitrail.data.loader"]  # fmt: skip


def name_of(module: Path) -> str:
    parts = module.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def functions(module: Path):
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            documented = ast.get_docstring(node) is not None
            first = node.body[1] if documented and len(node.body) > 1 else node.body[0]
            yield node, node.end_lineno - first.lineno + 1


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_modules_and_functions_stay_small(module):
    assert len(module.read_text().splitlines()) <= 300
    long = [f"{node.name}: {length} lines" for node, length in functions(module) if length > 50]
    assert not long


def test_a_workflow_reads_like_a_recipe():
    for module in (ROOT / "vitrail" / "workflows").rglob("*.py"):
        long = [f"{module.name} {node.name}: {length}" for node, length in functions(module) if length > 40]
        assert not long


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_no_module_is_named_after_nothing(module):
    assert not FORBIDDEN_NAMES & set(re.split(r"[._]", name_of(module)))


def test_every_module_says_what_it_is_for():
    silent = [name_of(module) for module in MODULES if not ast.get_docstring(ast.parse(module.read_text()))]
    assert not silent


def test_layers_are_found_by_spelling_nowhere_but_in_models():
    spelling = re.compile(r"""(startswith|split|match|search)\(\s*r?f?["']\^?(blocks|layers|stages)""")
    found = [name_of(m) for m in MODULES if "models" not in m.parts and spelling.search(m.read_text())]
    assert not found


def test_no_pickle_is_ever_loaded():
    loading = re.compile(
        r"pickle\.loads?\(|(?<!safetensors\.)torch\.load\((?![^)]*weights_only=True)|joblib\.load|allow_pickle=True"
    )
    found = [name_of(module) for module in MODULES if loading.search(module.read_text())]
    assert not found


@pytest.mark.parametrize("module", LIGHT)
def test_the_door_is_light(module):
    code = (
        f"import sys, {module}; print([n for n in ('torch', 'timm', 'sklearn', 'scipy', 'pandas') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_importing_everything_warns_about_nothing_and_touches_no_accelerator():
    names = [name_of(module) for module in MODULES if not name_of(module).endswith("__main__")]
    code = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "import torch; assert not torch.cuda.is_initialized(); print(torch.get_num_threads() > 0)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "True", done.stderr


LATE = {
    "vitrail",  # brings its names when they are asked for
    "vitrail.workflows.fit.call",  # the images are read while torch is imported
    "vitrail.workflows.serve",  # all of serving is an extra
    "vitrail.serving.model_process",  # the front learns why torch cannot be imported
    "vitrail.basics.devices",
    "vitrail.data.digits",
}
EXTRAS = {"sqlalchemy", "pg8000", "pi_heif", "onnx", "onnxruntime", "onnxscript", "openvino", "mlflow", "tensorboard"}


def late_imports(module):
    for node in ast.walk(ast.parse(module.read_text())):
        for each in ast.walk(node) if isinstance(node, ast.FunctionDef) else ():
            if isinstance(each, ast.Import | ast.ImportFrom):
                yield from [each.module] if isinstance(each, ast.ImportFrom) else [alias.name for alias in each.names]


def test_imports_are_late_only_at_the_door_and_for_extras():
    asked = {(name_of(m), each) for m in MODULES if "cli" not in m.parts for each in late_imports(m)}
    unexpected = {pair for pair in asked if pair[0] not in LATE and not EXTRAS & set(pair[1].split("."))}
    assert not unexpected


def imported_names(file):
    """Of our own modules, also within functions."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OUR_OWN:
            yield from ((node.module, alias.name) for alias in node.names)


@functools.cache
def names_of(module):
    """What can be imported from it, as its text says; nothing is run."""
    place = ROOT.joinpath(*module.split("."))
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    if not file.exists():
        return set()
    inside = {each.stem for each in place.iterdir()} if place.is_dir() else set()
    return inside.union(*(names_given_by(node) for node in ast.walk(ast.parse(file.read_text()))))


def names_given_by(node):
    match node:
        case ast.FunctionDef() | ast.ClassDef():
            return [node.name]
        case ast.Name(ctx=ast.Store()):
            return [node.id]
        case ast.Import() | ast.ImportFrom():
            return [alias.asname or alias.name for alias in node.names]
    return []


def test_what_benchmarks_tools_and_documents_import_is_still_there():
    scripts = [file for folder in ("benchmarks", "tools", "docs") for file in sorted((ROOT / folder).rglob("*.py"))]
    asked = {names: file.relative_to(ROOT) for file in scripts for names in imported_names(file)}
    assert len(asked) > 100
    moved = [f"{file}: {module}.{name}" for (module, name), file in asked.items() if name not in names_of(module)]
    assert not moved


def test_the_project_names_no_place_of_ours():
    words = re.compile("|".join(["/" + "work/", r"\.\./" + "shared", "py" + r"pi\.org", "npm" + r"js\.org"]))
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    texts = [ROOT / name for name in listed if name.endswith((".py", ".md", ".toml", ".txt", ".html", "Makefile"))]
    assert not [str(text) for text in texts if text.exists() and words.search(text.read_text())]
