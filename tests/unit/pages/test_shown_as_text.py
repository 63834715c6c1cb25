from dataclasses import dataclass

from vitrail.pages.shown_as_text import ShownAsText


@dataclass(frozen=True, repr=False)
class Made(ShownAsText):
    name: str

    def lines(self):
        return [f"made {self.name}", "", "next"]


def test_a_name_in_a_result_is_shown_and_not_obeyed_by_terminal_or_notebook():
    result = Made("<b>\x1b[31mants")
    assert str(result) == repr(result) == "made <b>\\x1b[31mants\n\nnext"
    assert result._repr_html_() == "<pre>made &lt;b&gt;\\x1b[31mants\n\nnext</pre>"
