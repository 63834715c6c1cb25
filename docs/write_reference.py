"""Writes `docs/reference.md`: every command with its options, every setting, every exit code, from the code itself."""

import inspect
import subprocess
import sys
from pathlib import Path

import typer.main

PLACE = Path(__file__).parent / "reference.md"

EXIT_CODES = """| exit code | meaning |
|---|---|
| 0 | done |
| 1 | done, but something must be looked at: the check found what must be fixed, or images could not be read |
| 2 | what was typed or given is not as expected |
| 3 | the machine refused: disk full, no permission, no network, a worker process died |
| 130 | stopped with Ctrl-C; the same command continues |"""


ENVIRONMENT = """| variable | meaning |
|---|---|
| `VITRAIL_CACHE` | folder for what can be made again: models converted for OpenVINO and ONNX (`runtimes/`, 10 GiB at \
most, those unused for longest go first) and formula images; default: `vitrail` in `$XDG_CACHE_HOME` or `~/.cache`. \
It may be deleted at any time. |
| `VITRAIL_STATE` | the state of the servers that `vitrail rollout` is about: a file, or `postgresql://…`; default: \
`runs/serve.sqlite` |
| `VITRAIL_VERSIONS` | the version store: a file, or `postgresql://…`; default: `runs/versions.sqlite` |"""


def reference() -> str:
    """The whole page."""
    from vitrail.cli.main import app
    from vitrail.rollout.operating.policy import OperatePolicy
    from vitrail.rollout.plan import RolloutSettings
    from vitrail.workflows.features.settings import FeaturesSettings
    from vitrail.workflows.fit.settings import FitSettings
    from vitrail.workflows.pretrain.settings import PretrainSettings

    commands = typer.main.get_command(app).commands
    parts = ["# Reference", "Written by `make docs` from the code.", "## Exit codes", EXIT_CODES]
    parts += ["## Environment", ENVIRONMENT, "## Commands"]
    for name, command in _flat(commands):
        parts += [f"### vitrail {name}", command.help or "", _options(command)]
    parts += ["## In Python", _python()]
    for command, function, kind in (
        ("fit", "fit", FitSettings),
        ("features", "write_features", FeaturesSettings),
        ("pretrain formula", "pretrain_formula", PretrainSettings),
        ("rollout start", "start_rollout", RolloutSettings),
    ):
        parts += [
            f"## Settings of `vitrail {command}`",
            f"Each can be given as `--set name=value`, or by its name to `vitrail.{function}`.",
        ]
        own = [field for field in kind.model_fields if field not in kind.parts()]
        parts.append(_settings("the run", kind, own))
        for part, owner in kind.parts().items():
            parts.append(_settings(part.strip("_"), owner, list(owner.model_fields)))
    parts += ["## The policy of `vitrail operate`", "A YAML file with these names; see [operating.md](operating.md)."]
    own = [field for field in OperatePolicy.model_fields if field not in OperatePolicy.parts()]
    parts.append(_settings("the model and its servers", OperatePolicy, own))
    for part, owner in OperatePolicy.parts().items():
        parts.append(_settings(part, owner, list(owner.model_fields)))
    return "\n\n".join(parts) + "\n"


def _python() -> str:
    """Every public function with its arguments and the first line of what it says of itself."""
    import vitrail

    lines = ["`help(vitrail.fit)` has the rest.", "", "| function | what it does |", "|---|---|"]
    for name in vitrail.__all__:
        function = getattr(vitrail, name)
        arguments = [("*" * (each.kind is each.VAR_POSITIONAL) or "**" * (each.kind is each.VAR_KEYWORD)) + each.name
                     for each in inspect.signature(function).parameters.values()]  # fmt: skip
        first = inspect.getdoc(function).split("\n\n")[0].replace("\n", " ")
        lines.append(f"| `vitrail.{name}({', '.join(arguments)})` | {first} |")
    return "\n".join(lines)


def _flat(commands, prefix: str = "") -> list:
    """Commands by full name; those of a group follow one another."""
    found = []
    for name, command in commands.items():
        is_group = hasattr(command, "commands")
        found += _flat(command.commands, f"{prefix}{name} ") if is_group else [(prefix + name, command)]
    return found


def _options(command) -> str:
    lines = ["| option | meaning |", "|---|---|"]
    for parameter in (each for each in command.params if not getattr(each, "hidden", False)):
        names = parameter.name.upper() if parameter.param_type_name == "argument" else ", ".join(parameter.opts)
        lines.append(f"| `{names}` | {' '.join((getattr(parameter, 'help', '') or '').split())} |")
    return "\n".join(lines)


def _settings(title: str, kind, names: list[str]) -> str:
    lines = [f"**{title}**", "", "| setting | default | meaning |", "|---|---|---|"]
    for name in names:
        field = kind.model_fields[name]
        default = "(needed)" if field.is_required() else f"`{_plain(field.default)!r}`"
        lines.append(f"| `{name}` | {default} | {' '.join((field.description or '').split())} |")
    return "\n".join(lines)


def _plain(default):
    """Settings within settings by what is said of them."""
    several = isinstance(default, tuple) and all(hasattr(each, "model_dump") for each in default)
    return [each.model_dump(exclude_defaults=True) for each in default] if several and default else default


if __name__ == "__main__":
    PLACE.write_text(reference())
    subprocess.run(["git", "diff", "--stat", "--", str(PLACE)], check=False, stdout=sys.stdout)
