"""The model card of a package: what it is, how good it was measured to be, and what it is not for."""

from collections.abc import Mapping, Sequence
from typing import Any

from vitrail.evaluation.quality import Quality
from vitrail.pages.guidance import CAUTIONS


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
    header += [f"license: {licence}"] if licence else []
    measured = [f"| {split} | {quality.accuracy.text()} | {quality.majority.text()} | {quality.auc.text()} |"
                for split, quality in qualities.items()]  # fmt: skip
    return "\n".join(
        [
            *header, "---", "", f"# {title}", "",
            f"Tells apart {len(classes)} classes: {', '.join(classes)}.", "",
            "| measured on | accuracy (95 % interval, n) | always the most frequent class | AUC |", "|---|---|---|---|",
            *measured, "",
            *(f"- {name}: {value}" for name, value in facts.items()), "",
            "## Use", "", "```python", "import vitrail",
            'print(vitrail.load("this-folder").predict("image.jpg")[0])', "```", "",
            "## Be careful with", "",
            *(f"- **{caution.topic}.** {caution.why} {caution.instead}" for caution in CAUTIONS), "",
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
