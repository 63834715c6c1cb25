"""Panel: what these models must not be used for."""

from vitrail.pages.frame import render_page
from vitrail.pages.guidance import cautions_for
from vitrail.serving.console.panels import Panel
from vitrail.serving.console.view import View


def cautions(view: View) -> str:
    """Whether images of users are kept; what the names of the classes ask for; then what always holds."""
    kept = view.service.kept_images
    return render_page(
        "console/cautions.html", cautions=cautions_for(list(dict.fromkeys(view.classes()))),
        kept=None if kept is None else kept.standing()["sentence"],
    )  # fmt: skip


PANEL = Panel("cautions", "What to be careful about", cautions, beside=True)
