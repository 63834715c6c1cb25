"""What a fit leaves behind: the package and the report."""

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.basics.versions import versions
from vitrail.data.columns import ImageHome
from vitrail.data.split_images import fingerprint
from vitrail.data.tone import Tone
from vitrail.evaluation.answers_file import answers_sentence, write_answers
from vitrail.evaluation.attribute_groups import own_attributes
from vitrail.evaluation.background import cautions_section, findings_section, model_section
from vitrail.evaluation.card import model_card
from vitrail.evaluation.evaluations import not_judged_beside
from vitrail.evaluation.fairness import usual_fairness
from vitrail.evaluation.judged_images import headline_split
from vitrail.evaluation.judging import Judged, quality_section
from vitrail.evaluation.most_wrong import most_wrong_section
from vitrail.evaluation.report import Report, write_report
from vitrail.evaluation.section import Section, packaged_metrics
from vitrail.evaluation.summary import summary_section
from vitrail.models.package import PackageContents, write_package
from vitrail.models.parts.seen import Seen
from vitrail.models.parts.shift_reference import ShiftReference
from vitrail.workflows.fit.preparation import Prepared


@dataclass(frozen=True)
class Fitted:
    """Everything that package and report are written from.

    Attributes:
        name: the data set's name.
        prepared: model, images and findings; the model is the one that is kept.
        judged: what was learned and how good it is.
        decisions: sentences on what was chosen and why.
        trained: one line on how the head, or the whole model, was trained.
        training: how training went; None when nothing but the probe was trained.
        gain: the comparison with training from nothing; None where none was asked for.
    """

    name: str
    prepared: Prepared
    judged: Judged
    decisions: tuple[str, ...]
    trained: str
    training: Section | None = None
    gain: Section | None = None


def fit_sections(fitted: Fitted, *, thumbnails: bool, package: Path = Path("PACKAGE")) -> tuple[Section, ...]:
    """The report of a fit, part by part: what it is worth first, then how it came to be.

    Args:
        fitted: everything that is told.
        thumbnails: whether pictures are shown.
        package: where it will stand, for the commands that test it further.
    """
    judged, prepared = fitted.judged, fitted.prepared
    headline, home = headline_split(judged.quality), ImageHome.of(prepared.images.rows)
    tone = prepared.model.preprocessing.tone if thumbnails else None
    sections = (
        quality_section(judged),
        most_wrong_section(judged.images[headline], judged.quality[headline].most_wrong, home, tone=tone),
        usual_fairness(judged.images[headline]),
        fitted.training,
        fitted.gain,
        model_section(model_facts(fitted), prepared.images, fitted.decisions),
        findings_section(prepared.findings, home),
        cautions_section(judged.classes, own_attributes(judged.images[headline])),
    )
    told = tuple(section for section in sections if section is not None)
    return (_summary(fitted, {section.name: section for section in told}, package), *told)


def _summary(fitted: Fitted, sections: Mapping[str, Section], package: Path) -> Section:
    judged, place = fitted.judged, shlex.quote(str(package))
    attributes = own_attributes(judged.images[headline_split(judged.quality)])
    missing = not_judged_beside(sections, "")
    commands = [f"vitrail evaluate {place} DATA --with {','.join(missing)}", f"vitrail evaluate {place} OTHER_DATA"]
    return summary_section(
        sections, missing, judged.classes, attributes, commands=commands if missing else commands[1:]
    )


def pack(
    fitted: Fitted, sections: Sequence[Section], folder: Path, *, reference: ShiftReference | None, seed: int
) -> Path:
    """Write the package; nothing in it names a path or an image.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    judged = fitted.judged
    contents = PackageContents(
        classes=tuple(judged.classes),
        preprocessing=fitted.prepared.model.preprocessing,
        card=model_card(
            title=fitted.name,
            classes=judged.classes,
            facts=model_facts(fitted),
            qualities=judged.quality,
            licence=fitted.prepared.model.pretrained_cfg.get("license"),
        ),
        metrics=packaged_metrics(sections),
        provenance={
            "created": time.strftime("%Y-%m-%d"),
            "weights": fitted.prepared.model.weights.source,
            "weights_sha256": fitted.prepared.model.weights_sha256,
            "trained": fitted.trained,
            "images": fitted.prepared.images.counts(),
            "data_fingerprint": fingerprint(fitted.prepared.images.rows),
            "seed": seed,
            "versions": versions(),
        },
    )
    images = fitted.prepared.images
    seen = Seen.of(images.ids("train"), seed=seed, fingerprint=fingerprint(images.rows))
    parts = [seen, *([] if reference is None else [reference])]
    write_package(folder, fitted.prepared.model, contents=contents, parts=parts)
    return folder


def report(
    fitted: Fitted, sections: Sequence[Section], folder: Path, *, command: str, seed: int, timings: Mapping[str, float]
) -> Path:
    """Write `report.html` and `report.json`, beside them what was answered about every held-out image; give the page.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    write_answers(fitted.judged.images, folder)
    package = shlex.quote(str(folder / "package"))
    page = Report(
        title=fitted.name,
        created=time.strftime("%Y-%m-%d %H:%M"),
        command=command,
        sections=sections,
        seed=seed,
        timings=dict(timings),
        versions=versions(),
        next_commands=[
            f"vitrail predict {package} IMAGES",
            f"vitrail predict {package} FOLDER --csv > predictions.csv",
        ],
        beside=[answers_sentence(folder)],
        window_of=fingerprint(fitted.prepared.images.rows),
    )
    return write_report(page, folder)


def model_facts(fitted: Fitted) -> dict[str, Any]:
    """The model in a few words and numbers, for card and report."""
    shown = fitted.prepared.model.preprocessing
    return {
        "architecture": fitted.prepared.model.architecture,
        "parameters": fitted.prepared.model.parameters,
        "weights": fitted.prepared.model.weights.summary(),
        "weights_licence": fitted.prepared.model.pretrained_cfg.get("license") or "not stated",
        "image_size": f"{shown.height} × {shown.width}",
        "normalisation": f"mean {_rounded(shown.mean)}, std {_rounded(shown.std)} ({shown.normalization})",
        **_values_words(shown.tone),
        "trained": fitted.trained,
    }


def _values_words(tone: Tone) -> dict[str, str]:
    """How stored values become grey levels, where that was measured or asked for."""
    if tone == Tone():
        return {}
    shown = "more than 8 bits are shown" if tone.is_measured else "images are shown"
    return {"values": f"{shown} with {tone.words()}"}


def _rounded(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)
