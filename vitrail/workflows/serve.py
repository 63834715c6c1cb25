"""`vitrail serve`: several models behind one address, until somebody ends it."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vitrail.basics.errors import missing_extra
from vitrail.rollout.live.watcher import rollouts_beside
from vitrail.rollout.versioned_package import package_or_version


def serve(
    packages: str | Path | Sequence[str | Path] = (),
    *,
    config: str | Path | None = None,
    tell: Callable[[str], None] = print,
    **settings: Any,
) -> None:
    """Answer requests over HTTP with one package or several, until Ctrl-C or SIGTERM.

    Each model lives in a process of its own: one that raises, hangs or runs out of memory is begun anew, and meanwhile
    another answers for it. The same user always gets the same model. See docs/serving.md for what can be asked.

    >>> vitrail.serve(["runs/ants/package=80", "runs/bees/package=20"], port=8000)  # doctest: +SKIP

    Args:
        packages: packages, runs that made them, or versions (`flowers@stable`), each with its weight behind `=` if the
            shares are to differ.
        config: a `serve.yaml` instead; settings given here go before those in it.
        tell: receives what an operator wants to read, a line at a time.
        settings: any of `ServingSettings`' names, e.g. `port=9000`, `deadline_seconds=5`.

    Raises:
        InputError: a package, weight or setting is not as it should be, the address is taken, or it can be reached from
            other machines and there is no key.
        SystemFault: the extra `serve` is not installed, or the state cannot be opened.
    """
    try:
        from vitrail.serving.run_server import run_server
    except ImportError as error:
        raise missing_extra("serve", error) from error
    from vitrail.serving.server_config import asked_server

    given = [packages] if isinstance(packages, str | Path) else list(packages)
    file = None if config is None else Path(config)
    asked = asked_server([str(each) for each in given], file, settings, found=package_or_version)
    run_server(
        asked.models, asked.settings, environment=os.environ, tell=tell, beside=rollouts_beside(asked.settings.state)
    )
