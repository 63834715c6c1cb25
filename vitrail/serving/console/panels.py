"""What a console is made of: panels, each with a title and a function that makes its HTML of a look at the server."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup
from starlette.responses import Response

import vitrail.pages
from vitrail.pages.frame import render_page
from vitrail.serving.console.view import View


@dataclass(frozen=True)
class Panel:
    """One box of the console.

    Attributes:
        name: unique in a console; letters and hyphens: a link can lead to it.
        title: its heading.
        body: its HTML; called every second or two while somebody looks, on the thread that answers requests, so it
            must take milliseconds and wait for nothing.
        beside: whether it stands in the narrow column, where there is room for two.
        script: address of a script of its own; empty: it needs none.
    """

    name: str
    title: str
    body: Callable[[View], str]
    beside: bool = False
    script: str = ""

    def html(self, view: View) -> str:
        """The whole box."""
        body = Markup(self.body(view))
        return render_page("console/panel.html", panel=self, body=body)

    def html_where_it_fails(self) -> str:
        """The box of a panel that cannot be drawn; the others are still wanted."""
        body = Markup('<p class="notice">This panel cannot be drawn; why is in the log of the server.</p>')
        return render_page("console/panel.html", panel=self, body=body)


def script_response(name: str) -> Response:
    """A script of the console."""
    return Response(_script(name), media_type="text/javascript")


@functools.cache
def _script(name: str) -> str:
    return (Path(vitrail.pages.__file__).parent / "templates/console" / name).read_text(encoding="utf-8")
