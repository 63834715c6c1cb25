"""What `vitrail look` says of an image in one line."""

from collections.abc import Mapping
from typing import Any

from vitrail.basics.printable import printable
from vitrail.pages.numbers import percent


def image_line(figures: Mapping[str, Any]) -> str:
    """Answer, verdicts of the maps, outlier tokens and file, in one line."""
    answer = "no classifier"
    if figures["explained"] is not None:
        answer = f"{printable(figures['explained'])} {percent(figures['probability'])}"
    verdicts = [f"{name} {each['verdict']}" for name, each in figures["faithfulness"].items()]
    taken = figures["attention"]["on_top_1_percent_of_tokens"]
    parts = [*verdicts, f"{percent(taken)} of the attention on 1 % of the tokens"]
    return f"{answer:<20} {'; '.join(parts)}   {printable(figures['path'])}"
