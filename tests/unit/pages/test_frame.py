import pytest

from vitrail.basics.errors import InputError
from vitrail.pages.frame import render_page


def test_an_unknown_template_is_named_with_the_nearest_one() -> None:
    with pytest.raises(InputError) as caught:
        render_page("reprot.html")
    assert str(caught.value) == "there is no page template 'reprot.html'\nhint: did you mean report.html, frame.html?"
