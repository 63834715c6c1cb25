"""A run folder where a package or a model is expected means the package in it."""

from pathlib import Path

from vitrail.basics.errors import PackageError

_PACKAGE = "package"
_OF_A_RUN = ("journal.jsonl", "settings.json")


def package_of(folder: Path) -> Path:
    """The package of a run where `folder` is one, else `folder` itself.

    Raises:
        PackageError: a run that has not made its package yet, or what cannot be a path.
    """
    try:
        is_run = folder.is_dir() and all((folder / name).is_file() for name in _OF_A_RUN)
    except OSError as error:  # longer than any path, or in a folder that may not be entered
        shown = f"{str(folder)[:200]}: {error.strerror or error}"
        raise PackageError(shown, hint="check what was given as a path") from error
    if not is_run or (folder / "config.json").exists():
        return folder
    if (folder / _PACKAGE).is_dir():
        return folder / _PACKAGE
    raise PackageError(
        f"{folder} is a run that is not finished: it holds no {_PACKAGE} yet",
        hint="type the command that began it again: it continues",
    )
