import pytest
import typer
from typer.testing import CliRunner

from vitrail.basics.errors import InputError
from vitrail.cli.main import app
from vitrail.cli.options import with_columns


def test_columns_are_read_from_the_command_line_with_any_spaces():
    named = with_columns("labels.csv", "label=dx, group = lesion=id")
    assert (named.data, named.names) == ("labels.csv", {"label": "dx", "group": "lesion=id"})
    assert with_columns("labels.csv", None) == "labels.csv"


@pytest.mark.parametrize("written", ["dx", "label=", "=dx", "label=dx,", "label=dx,label=dy", ""])
def test_what_is_not_understood_is_refused(written):
    with pytest.raises(InputError) as refusal:
        with_columns("labels.csv", written)
    assert str(refusal.value).startswith(f"--columns {written}: ")
    assert str(refusal.value).endswith("is not understood\nhint: write e.g. --columns label=dx,group=patient")


@pytest.mark.parametrize("command", ["features", "predict"])
def test_help_names_every_runtime_and_reduction(command):
    from vitrail.features.node_requests import REDUCTIONS
    from vitrail.prediction.runtimes.known import LIBRARIES, RUNTIMES

    texts = {each.name: each.help for each in typer.main.get_command(app).commands[command].params}
    assert all(f"`{name}`" in texts["runtime"] for name in ("auto", *LIBRARIES, *(each.name for each in RUNTIMES)))
    assert command != "features" or all(f"`{name}`" in texts["nodes"] for name in REDUCTIONS)


def test_help_says_where_the_cache_is():
    assert "VITRAIL_CACHE" in CliRunner().invoke(app, ["--help"]).stdout
