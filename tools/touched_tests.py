"""The tests that a change touches: `python -m tools.touched_tests [BASE]` prints their files, for `make quick`.

Changed since BASE (a git revision; by default what is not committed yet, or else the last commit): a changed test is
touched, and so is every unit, contract or architecture test that imports a changed module itself or through one other,
or that mirrors it in the tree. Journeys and real kills are left to `make test`.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
QUICK = ("unit", "contracts", "architecture")
ALWAYS = ("tests/architecture",)


def changed_files(base: str | None) -> set[str]:
    """Paths, relative to the project, of Python files that differ from `base`; see the module."""
    untracked = _git("ls-files", "--others", "--exclude-standard")
    changed = _git("diff", "--name-only", base or "HEAD") + untracked
    if not changed and base is None:
        changed = _git("diff", "--name-only", "HEAD~1")
    return {name for name in changed if name.endswith(".py") and (ROOT / name).exists()}


def touched_tests(changed: set[str]) -> list[str]:
    """Test files, relative to the project, that a change of these files touches."""
    modules = {_module(name) for name in changed if name.startswith("vitrail/")}
    graph = grimp.build_graph("vitrail")
    near = set(modules).union(*(graph.find_modules_that_directly_import(name) for name in modules & graph.modules))
    mirrors = {f"tests/unit/{Path(name).parent.relative_to('vitrail')}/test_{Path(name).name}"
               for name in changed if name.startswith("vitrail/")}  # fmt: skip
    found = []
    for file in sorted(path for part in QUICK for path in (ROOT / "tests" / part).rglob("test_*.py")):
        name = file.relative_to(ROOT).as_posix()
        if name in changed | mirrors or near & set(_imported(file)) or name.startswith(ALWAYS):
            found.append(name)
    return found


def _imported(file: Path) -> Iterator[str]:
    """Modules, and names in modules, that a file imports."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _module(name: str) -> str:
    return ".".join(part for part in Path(name).with_suffix("").parts if part != "__init__")


def _git(*words: str) -> list[str]:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


if __name__ == "__main__":
    print("\n".join(touched_tests(changed_files(sys.argv[1] if len(sys.argv) > 1 else None))))
