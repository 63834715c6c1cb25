"""The `vitrail` command: its commands in the order of a user's days, and how errors end."""

import atexit
import contextlib
import os
import re
import shlex
import signal
import sys
from typing import Annotated, Any

import typer

import vitrail
from vitrail.basics.errors import VitrailError
from vitrail.cli import (
    admit,
    check,
    compare,
    decide,
    demo,
    evaluate,
    features,
    fit,
    look,
    mlflow_registry,
    nodes,
    operate,
    predict,
    pretrain,
    rollout,
    serve,
    study,
    versions,
    watch,
)
from vitrail.cli.output import (
    explained_printing,
    flush_what_can_be,
    make_printing_safe,
    not_enough_memory,
    tell,
    tells_of_memory,
)

INTERRUPTED = 130

# Newer typer carries its own copy of click, older ones use the package: either way this is the class they raise.
UsageError: Any = typer.BadParameter.__base__

app = typer.Typer(
    name="vitrail",
    help="From a folder of labelled images to a packaged, honestly judged Vision Transformer.",
    epilog="Converted models and formula images are kept in `~/.cache/vitrail`, or where `VITRAIL_CACHE` says; it may "
    "be deleted at any time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for family in (
    check, fit, predict, features, nodes, look, demo, evaluate, compare, decide, study, pretrain,
    versions, mlflow_registry, serve, watch, admit, rollout, operate,
):  # fmt: skip
    family.register(app)


def _tell_version(wanted: bool | None) -> None:
    if wanted:
        tell(f"vitrail {vitrail.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool | None,
        typer.Option("--version", help="Print the version and leave.", is_eager=True, callback=_tell_version),
    ] = None,
) -> None:
    """From a folder of labelled images to a packaged, honestly judged Vision Transformer."""


def main() -> None:
    """Entry point: run the command, print errors as text with a hint, end with their exit code."""
    make_printing_safe()
    try:
        with explained_printing():
            code = app(standalone_mode=False)
    except VitrailError as error:
        code = _tell(error)
    except UsageError as error:
        with contextlib.suppress(OSError):
            error.show()
        _hint_at_setting(str(error.message))
        _hint_at_command(str(error.message))
        code = error.exit_code
    except typer.Exit as end:  # whoever read stdout left
        code = end.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except (MemoryError, RuntimeError, ImportError) as error:
        if not tells_of_memory(error):
            raise
        code = _tell(not_enough_memory())
    if code == INTERRUPTED:
        command = shlex.join(["vitrail", *sys.argv[1:]])
        tell(f"stopped; the same command continues where it was:\n  {command}", err=True)
    sys.exit(code)


def entry() -> None:
    """What the `vitrail` script calls: `main`, and then the process is gone at once.

    PyTorch takes a second to tear itself down at the end of an interpreter, and nobody gains by waiting for it.
    """
    # What a generator or a library raises while it is cleared away after Ctrl-C is nothing that a user could act on.
    sys.unraisablehook = lambda _: None
    code: object = INTERRUPTED
    with contextlib.suppress(KeyboardInterrupt):  # a second one, while the first was told
        try:
            main()
        except SystemExit as end:
            code = end.code
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing takes time from here on
    workers = sys.modules.get("vitrail.data.workers")
    if workers is not None:
        workers.stop_workers()
    # Exit handlers still have to run (semaphores are unlinked there); only the teardown after them is left out.
    atexit._run_exitfuncs()
    flush_what_can_be()
    os._exit(code if isinstance(code, int) else 0)


_MEANT = {
    "train": "fit", "finetune": "fit", "fine-tune": "fit", "classify": "predict", "infer": "predict",
    "inference": "predict", "extract": "features", "embed": "features", "layers": "nodes", "inspect": "check",
    "validate": "check", "eval": "evaluate", "test": "evaluate", "judge": "evaluate", "version": "--version",
}  # fmt: skip
"""What other programs call it."""


def _hint_at_command(message: str) -> None:
    """`vitrail train` is `vitrail fit`."""
    unknown = re.search(r"No such command '([^']+)'", message)
    meant = unknown and _MEANT.get(unknown[1].lower())
    if meant:
        tell(f"hint: vitrail {meant}", colour=typer.colors.CYAN, err=True)


def _hint_at_setting(message: str) -> None:
    """`--test-fraction 0.2` is a setting without an option of its own: say how it is given."""
    option = re.search(r"No such option: --([\w-]+)", message)
    if option is None or "fit" not in sys.argv[1:2]:
        return
    from vitrail.workflows.fit.settings import FitSettings

    name = option[1].replace("-", "_")
    if name in FitSettings.names():
        tell(f"hint: --set {name}=VALUE", colour=typer.colors.CYAN, err=True)


def _tell(error: VitrailError) -> int:
    # A name with a line break in it cannot begin a line that looks like one of ours.
    message = re.sub(r"\n(?=\S)", "\n  ", error.message)
    tell(f"error: {message}", colour=typer.colors.RED, err=True)
    if error.hint:
        tell(f"hint: {error.hint}", colour=typer.colors.CYAN, err=True)
    return error.exit_code
