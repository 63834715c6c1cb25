"""What only the page shows of robustness: curves, and small pictures of what was done to images."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from vitrail.data.corruptions.known import CORRUPTIONS, corrupted, picture_seed
from vitrail.evaluation.disturbed_answers import DisturbedAnswers
from vitrail.evaluation.robustness_sentences import grey_levels
from vitrail.evaluation.section import Figures
from vitrail.pages.level_plot import level_plot
from vitrail.pages.numbers import percent, words
from vitrail.pages.thumbnails import thumbnail_uri

PICTURE_PIXELS = 128
SMALL_PIXELS = 96
SHOWN_SEVERITY = 3


def drawn_robustness(figures: Figures, *, found: DisturbedAnswers, seed: int) -> dict[str, Any]:
    """Plots and pictures of a robustness section, from its figures and what was kept of its images."""
    return {
        "attacked": _attack_plot(figures),
        "by_length": _length_plot(figures),
        "noisy": _noise_plot(figures),
        "examples": [_example(each, shown) for each, shown in zip(found.examples, figures["examples"], strict=True)],
        "corrupted": _corrupted_pictures(figures, found, seed),
        "cell": corruption_cell,
        "grey_levels": grey_levels,
        "kinds": {name: CORRUPTIONS[name].kind for name in figures["corruptions"]},
    }


def corruption_cell(share: float | int | None, clean: float | int | None) -> str:
    """How strongly a cell of the table is coloured: the part of the clean accuracy that is lost, 0 to 1.

    >>> corruption_cell(0.45, 0.9), corruption_cell(None, 0.9)
    ('0.50', '0.00')
    """
    lost = 0.0 if share is None or not clean else max(0.0, (clean - share) / clean)
    return f"{min(lost, 1.0):.2f}"


def _attack_plot(figures: Figures) -> Any:
    attacks = figures["attacks"]
    lines = {
        "changed by chance": [each["random"] for each in attacks],
        "one step (FGSM)": [each["fgsm"] for each in attacks],
        f"{figures['steps']} steps (PGD)": [each["pgd"] for each in attacks],
    }
    return level_plot(
        lines, [grey_levels(each["epsilon"]) for each in attacks], title="Accuracy under attack",
        x_label="largest change of a pixel, in grey levels of 255", y_label="right, of all images",
    )  # fmt: skip


def _length_plot(figures: Figures) -> Any:
    lengths = figures["attacks_by_length"]
    if not lengths:
        return None
    lines = {f"{figures['steps']} steps (PGD)": [figures["clean_accuracy"], *(each["pgd"] for each in lengths)]}
    names = ["0", *(f"{each['length']:g}" for each in lengths)]
    return level_plot(
        lines, names, title="Accuracy under attacks of a given length",
        x_label="length of the change (L2), on the scale 0-1", y_label="right, of all images",
    )  # fmt: skip


def _noise_plot(figures: Figures) -> Any:
    levels = list(figures["changed_by_noise"])
    if not levels:
        return None
    lines = {"normal noise": [figures["clean_accuracy"], *(figures[f"noise_{level}"] for level in levels)]}
    return level_plot(
        lines, ["0", *levels], title="Accuracy with noise", x_label="standard deviation, on the scale 0-1",
        y_label="right, of all images",
    )  # fmt: skip


def _example(example: Any, shown: Mapping[str, Any]) -> dict[str, Any]:
    difference = 0.5 + (example.attacked - example.pixels) / (2 * max(example.epsilon, 1e-6))
    pictures = {"before": example.pixels, "after": example.attacked, "difference": difference}
    return {
        **{name: thumbnail_uri(_image(picture), pixels=PICTURE_PIXELS) for name, picture in pictures.items()},
        "words": f"{shown['label']}, taken for {shown['predicted']} ({percent(shown['probability'])})",
    }


def _corrupted_pictures(figures: Figures, found: DisturbedAnswers, seed: int) -> list[dict[str, str]]:
    """One image in every corruption, in the middle of the severities."""
    if found.shown is None or not figures["corruptions"]:
        return []
    severity = sorted(figures["severities"], key=lambda each: abs(each - SHOWN_SEVERITY))[0]
    pictures = [{"name": "as it is", "uri": _small(found.shown)}]
    for name in figures["corruptions"]:
        seen = corrupted(found.shown, name, severity, seed=picture_seed(seed, "shown", name))
        pictures.append({"name": f"{words(name)}, {severity}", "uri": _small(seen)})
    return pictures


def _small(pixels: UInt8[np.ndarray, "H W C"]) -> str:
    return thumbnail_uri(Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0]), pixels=SMALL_PIXELS)


def _image(pixels: Float[np.ndarray, "H W C"]) -> Image.Image:
    whole = np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)
    return Image.fromarray(whole if whole.shape[2] == 3 else whole[..., 0])
