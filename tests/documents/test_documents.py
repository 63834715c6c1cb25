import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from tests.processes import running, vitrail
from vitrail.cli.main import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_reference_is_what_make_docs_writes():
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import write_reference

        assert (ROOT / "docs" / "reference.md").read_text() == write_reference.reference(), "run: make docs"
    finally:
        sys.path.remove(str(ROOT / "docs"))


def test_every_command_has_help_and_every_option_too():
    for name, command in typer.main.get_command(app).commands.items():
        assert command.help, name
        silent = [p.name for p in command.params if not getattr(p, "help", None) and p.name != "help"]
        assert not silent, f"{name}: {silent}"


def test_every_command_stands_in_the_readme():
    missing = [name for name in typer.main.get_command(app).commands if f"vitrail {name}" not in README]
    assert not missing


def test_the_readme_is_short_and_installs_early():
    lines = README.splitlines()
    assert len(lines) <= 120
    assert next(index for index, line in enumerate(lines) if "pip install" in line or "make demo" in line) < 25


def test_every_file_the_documents_name_exists():
    for document in ("README.md", "ARCHITECTURE.md"):
        text = (ROOT / document).read_text()
        named = re.findall(
            r"`((?:basics|measures|pages|data|models|prediction|features|training|evaluation|monitoring|traffic|serving|rollout|workflows|cli)/[\w/]+\.py)`",
            text,
        )
        missing = [name for name in named if not (ROOT / "vitrail" / name).exists()]
        assert not missing, document


def demo(*typed):
    """The demo with an eighth of its epochs: the way is the same, the digits are read less well."""
    from vitrail.workflows import demo

    demo.SETTINGS["all_epochs"] = 1
    vitrail("demo", *typed)


def test_the_demo_of_the_readme_runs(tmp_path):
    with running(demo, "--out", tmp_path / "demo", printed=tmp_path / "printed") as process:
        code = process.wait(300)
    said = (tmp_path / "printed").read_text()
    assert code == 0, said
    assert "predictions of the package on images that it was not trained on" in said
    assert re.search(r"gain     From nothing, with as many epochs, .* pretraining gained", said)
    assert "vitrail fit PHOTOS --model starter" in said
    report = json.loads((tmp_path / "demo" / "report.json").read_text())
    assert report["command"] == "vitrail demo"
    assert {"quality", "training", "gain"} <= set(report["sections"])


def test_the_python_of_the_readme_runs(tmp_path):
    python = re.findall(r"```python\n(.*?)```", README, re.S)
    assert python, "the README shows Python"
    for block in python:
        with running(exec, block, {}, printed=tmp_path / "printed") as process:
            assert process.wait(300) == 0, (tmp_path / "printed").read_text()


@pytest.mark.parametrize(
    "command", [[], ["check"], ["fit"], ["predict"], ["nodes"], ["demo"], ["study", "staged"], ["study", "starter"]]
)
def test_help_is_there_at_once_without_anything_heavy(command):
    code = (
        f"import sys; from vitrail.cli import main; sys.argv = ['vitrail', *{command!r}, '--help']\n"
        "try: main.main()\nexcept SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'timm', 'numpy', 'pyarrow', 'sklearn'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout
