"""`python -m vitrail`: the same as the `vitrail` script."""

from vitrail.cli.main import entry

entry()
