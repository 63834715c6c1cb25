from pathlib import Path

import pytest

from vitrail.basics.errors import InputError
from vitrail.pages.frame import render_page


def test_an_unknown_template_is_named_with_the_nearest_one() -> None:
    with pytest.raises(InputError) as caught:
        render_page("reprot.html")
    assert str(caught.value) == "there is no page template 'reprot.html'\nhint: did you mean report.html, frame.html?"


def test_a_template_may_lie_elsewhere_and_use_what_ours_have(tmp_path: Path) -> None:
    theirs = tmp_path / "mine.html"
    theirs.write_text('{% from "measures.html" import counted %}<p>{{ counted(2, "image") }} {{ name }}</p>')
    assert render_page(theirs, name="<b>") == "<p>2 images &lt;b&gt;</p>"
