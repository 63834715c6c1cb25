"""`vitrail register`, `versions`, `sign`, `alias`, `retire`: the version store."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from vitrail.cli.options import AsJson
from vitrail.cli.output import tell

Store = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|URL", show_default="$VITRAIL_VERSIONS, else runs/versions.sqlite",
        help="The version store: a file, or `postgresql://…`.",
    ),
]  # fmt: skip
Person = Annotated[str | None, typer.Option("--as", metavar="NAME", help="Who does it; default: this machine's user.")]
Note = Annotated[str, typer.Option(help="What is to be known about it.")]
NamedVersion = Annotated[str, typer.Argument(metavar="NAME@N", help="A version: `flowers@7`, `flowers@stable`.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("register", rich_help_panel="Make it ready")(_register)
    for command in (versions, sign, alias, retire):
        app.command(rich_help_panel="Make it ready")(command)


def _register(
    package: Annotated[Path, typer.Argument(help="A package, or the run that made it.")],
    name: Annotated[str, typer.Option(help="Of the model, whose versions are counted.")],
    note: Note = "",
    parent: Annotated[
        str | None,
        typer.Option(metavar="NAME@N", help="The version that it follows; default: whose weights it began from."),
    ] = None,
    by: Person = None,
    store: Store = None,
    files: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|URL", help="Where packages are kept, said once; default: `versions` beside the store."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Keep a package as the next version of a name: copied, every byte checked, never changed from then on."""
    import vitrail

    _show(
        vitrail.register(package, name=name, note=note, parent=parent, by=by, store=store, files=files), as_json=as_json
    )


def versions(
    name: Annotated[str | None, typer.Argument(help="Of a model, or one version; default: all.")] = None,
    history: Annotated[bool, typer.Option("--history", help="All that happened to each.")] = False,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """List what the version store holds: states, aliases, signatures; of one version, its whole history."""
    import vitrail
    from vitrail.rollout.versions_shown import ShownVersion

    found = vitrail.versions(name, store=store)
    if as_json or not (history or "@" in (name or "")):
        _show(found, as_json=as_json)
        return
    tell("\n\n".join(repr(ShownVersion(each)) for each in found))


def sign(
    version: NamedVersion,
    by: Annotated[str, typer.Option("--as", metavar="NAME", help="Who signs.")],
    note: Annotated[str, typer.Option(help="What was looked at, and why it may be used.")],
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Answer for a version with your name; what is signed is the digest of its package, which is checked before."""
    import vitrail

    _show(vitrail.sign(version, by=by, note=note, store=store), as_json=as_json)


def alias(
    version: NamedVersion,
    called: Annotated[str, typer.Argument(metavar="ALIAS", help="`stable` or `candidate`.")],
    note: Note = "",
    by: Person = None,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Call a version `stable` or `candidate`; what was `stable` is `previous` from the same moment on."""
    import vitrail

    _show(vitrail.set_alias(version, called, by=by, note=note, store=store), as_json=as_json)


def retire(
    version: NamedVersion, note: Note = "", by: Person = None, store: Store = None, as_json: AsJson = False
) -> None:
    """Take a version out of use: it stays in the store, and becomes `stable` no more."""
    import vitrail

    _show(vitrail.retire(version, by=by, note=note, store=store), as_json=as_json)


def _show(result: Any, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False))
    else:
        tell(repr(result))
