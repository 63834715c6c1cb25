import pytest

from vitrail.basics.errors import InputError
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
