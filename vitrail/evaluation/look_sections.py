"""The sections that a look at images gives."""

from collections import Counter

from vitrail.evaluation.looked_images import images_section, reach_figures, reach_section
from vitrail.evaluation.looking_through import Looked
from vitrail.evaluation.section import Section, Sentence
from vitrail.features.attention.looking import Looker


def look_sections(looked: Looked, looker: Looker) -> list[Section]:
    """Images with their maps, and how far every head looks."""
    layers = looker.reader.layers
    sections = [images_section(looked.shown, looked.pictures, sentences=_sentences(looked))]
    if looked.images:
        figures = reach_figures(looked.distances, looked.images, grid=layers.grid, patch=layers.patch)
        sections.append(reach_section(figures))
    return sections


def _sentences(looked: Looked) -> list[Sentence]:
    told = []
    for kind, words in (("relevance", "Relevance for the answer"), ("rollout", "Rollout")):
        judged = [each["faithfulness"][kind] for each in looked.shown if kind in each["faithfulness"]]
        verdicts = Counter(each["verdict"] for each in judged)
        if verdicts:
            counted = ", ".join(f"{verdict} on {count}" for verdict, count in verdicts.most_common())
            text = f"{words}: {counted} of {len(judged)} image{'s' if len(judged) != 1 else ''}."
            told.append(Sentence(text, next(iter(verdicts)) if len(verdicts) == 1 else None))
    told.append(
        Sentence(
            "A map says more than chance when taking away the patches that it marks lowers the probability of the "
            "answer sooner than random maps do, all of them."
        )
    )
    if looked.images > len(looked.shown):
        told.append(Sentence(f"{looked.images:,} images were looked at; the first {len(looked.shown)} are shown here."))
    if looked.unread:
        told.append(Sentence(f"{len(looked.unread):,} images could not be read and are not among them."))
    return told
