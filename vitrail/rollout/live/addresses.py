"""Where the servers keep their state, and where versions are: what a command names, or what is usual."""

import os
from pathlib import Path

from vitrail.basics.database import Database, opened_database
from vitrail.basics.errors import InputError
from vitrail.rollout.version_store import ENVIRONMENT

STATE = "VITRAIL_STATE"
"""Environment variable with the state of the servers, for commands that name none."""
USUAL_STATE = "runs/serve.sqlite"
"""Where a server keeps its state if nobody says otherwise."""
_HIDDEN = ":***@"


def opened_state_of_servers(address: str | Path | None) -> Database:
    """The database of the servers.

    Args:
        address: what was said; None: `$VITRAIL_STATE`, else `runs/serve.sqlite`.

    Raises:
        InputError: it is no address, or no server was ever begun with this file.
        SystemFault: the extra `serve` is not installed.
    """
    database = opened_database(address or os.environ.get(STATE) or USUAL_STATE)
    path = database.address.path
    if path is not None and not path.exists():
        raise InputError(f"{database.shown}: no server has been begun with this state", hint="vitrail serve PACKAGE")
    return database


def address_of_versions(kept: str, given: str | Path | None) -> str | Path:
    """The address of a rollout's version store; a password is kept nowhere, so it must be said again.

    Args:
        kept: with the rollout, without a password.
        given: what was said; None: nothing, and `$VITRAIL_VERSIONS` is looked at.

    Raises:
        InputError: it has a password that nobody says.
    """
    for said in (given, os.environ.get(ENVIRONMENT)):
        if said is not None and opened_database(said).shown == kept:
            return said
    if _HIDDEN not in kept:
        return kept
    raise InputError(
        f"the version store of this rollout is {kept}, and its password is not kept",
        hint=f"name it: --store, or {ENVIRONMENT}",
    )
