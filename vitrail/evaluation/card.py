"""The model card of a package: what it is, how good it was measured to be, and what it is not for."""

import html
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from vitrail.basics.natural_order import in_natural_order
from vitrail.basics.printable import printable
from vitrail.evaluation.quality import Quality
from vitrail.pages.guidance import cautions_for

SEAL_SENTENCE = (
    "`SHA256SUMS` seals this folder against accidents, not against adversaries: it shows that a file was damaged or "
    "exchanged, and says nothing about who made it. Take packages from people you trust."
)

SEEN_SENTENCE = (
    "`parts/seen` holds salted and shortened ids of the training images: whoever has one of these very files can find "
    "out that it was trained on; nobody can list them. `vitrail check DATA --against this-folder` asks for a whole "
    "data set."
)


def as_text(value: Any) -> str:
    """A name as Markdown shows it: nothing in it is markup, a link, a table's border or a new line.

    >>> as_text("<img src=x>|a\\nb")
    '&lt;img src=x&gt;&#124;a b'
    """
    escaped = html.escape(printable(" ".join(str(value).split())), quote=False)
    return re.sub(r"[|`*\[\]\\\\~#!]|(?<!\w)_|_(?!\w)", lambda match: f"&#{ord(match[0])};", escaped)


def model_card(
    *,
    title: str,
    classes: Sequence[str],
    facts: Mapping[str, Any],
    qualities: Mapping[str, Quality],
    licence: str | None,
) -> str:
    """The card in Markdown, with the header that the Hugging Face hub reads.

    Args:
        title: the data set's name.
        classes: in the order of the outputs.
        facts: name and value of whatever describes the model, in order.
        qualities: by split.
        licence: of the pretrained weights, where it is known.
    """
    header = ["---", "library_name: timm", "tags: [image-classification, timm, vitrail]"]
    if licence:  # it may come with somebody's weights; what JSON quotes, YAML reads as text
        header += [f"license: {licence if re.fullmatch(r'[A-Za-z0-9.-]+', licence) else json.dumps(licence)}"]
    measured = [f"| {split} | {quality.accuracy.text()} | {quality.majority.text()} | {quality.auc.text()} |"
                for split, quality in qualities.items()]  # fmt: skip
    cautions = [each.caution for each in cautions_for(classes)]
    return "\n".join(
        [
            *header, "---", "", f"# {as_text(title)}", "",
            f"Tells apart {len(classes)} classes: {', '.join(map(as_text, in_natural_order(classes)))}.", "",
            "| measured on | accuracy (95 % interval, n) | always the most frequent class | AUC |", "|---|---|---|---|",
            *measured, "",
            *(f"- {as_text(name)}: {as_text(value)}" for name, value in facts.items()), "",
            SEAL_SENTENCE, "", SEEN_SENTENCE, "",
            "## Use", "", "```python", "import vitrail",
            'print(vitrail.load("this-folder").predict("image.jpg")[0])', "```", "",
            "## Be careful with", "",
            *(f"- **{caution.topic}.** {caution.why} {caution.instead}" for caution in cautions), "",
        ]
    )  # fmt: skip


def formula_weights_card(*, facts: Mapping[str, Any]) -> str:
    """The card of weights that were pretrained on formula images, in Markdown.

    Args:
        facts: name and value of whatever describes the weights, in order.
    """
    return "\n".join(
        [
            "---", "library_name: timm", "tags: [image-feature-extraction, timm, vitrail]", "---", "",
            "# Weights from formula images", "",
            "A Vision Transformer that learned to tell classes of computed images apart: fractals, visual atoms, "
            "radial contours. Not a single photograph, drawing or scan was used, so nobody's picture, licence or bias "
            "is in it.",
            "", *(f"- {name.replace('_', ' ')}: {value}" for name, value in facts.items()), "",
            "## What it is", "",
            "A better beginning than random numbers for training a whole network on few images:", "",
            "```", "vitrail fit PHOTOS --model local-dir:THIS_FOLDER", "```", "",
            "## What it is not", "",
            "- It is no classifier: that of the formula classes was left out.",
            "- It knows no objects. Its frozen features are weak: train the whole network.",
            "- It does not replace weights from millions of photographs where these may be used.",
            "- What it gained on other data was not measured here; compare with `--compare scratch`.", "",
        ]
    )  # fmt: skip
