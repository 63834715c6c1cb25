"""Results that show themselves as text: the same words in Python, in a notebook and on the command line."""

import html
from abc import ABC, abstractmethod

from vitrail.basics.printable import printable


class ShownAsText(ABC):
    """Gives a result that has `lines` its look: `print(result)` says what was made and what to do next."""

    @abstractmethod
    def lines(self) -> list[str]:
        """What there is to say, one line each; an empty one makes a gap."""

    def __repr__(self) -> str:
        return printable("\n".join(self.lines()), lines=True)

    def _repr_html_(self) -> str:
        """For notebooks: the text, and the report to click on where there is one."""
        report = getattr(self, "report", None)
        link = f'<a href="{html.escape(str(report))}" target="_blank">report</a>' if report is not None else ""
        return f"<pre>{html.escape(repr(self))}</pre>{link}"
