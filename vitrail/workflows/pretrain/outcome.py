"""What pretraining leaves behind: the weights with their card, and the report."""

import shlex
import time
from collections.abc import Mapping
from pathlib import Path

from vitrail.basics.versions import versions
from vitrail.evaluation.card import formula_weights_card
from vitrail.evaluation.pretraining_facts import Pretrained, weights_facts
from vitrail.evaluation.pretraining_sections import pretraining_sections
from vitrail.evaluation.report import Report, write_report
from vitrail.models.pretrained_folder import write_pretrained
from vitrail.workflows.pretrain.settings import PretrainSettings


def keep_weights(done: Pretrained, settings: PretrainSettings, folder: Path) -> Path:
    """Write the folder that a fit starts from; nothing in it names a path.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    facts = {
        "created": time.strftime("%Y-%m-%d"),
        "settings": settings.model_dump(mode="json"),
        "last_epoch": done.last,
        "seconds": round(done.state.seconds, 1),
        "precision": done.reason,
        "versions": versions(),
    }
    card = formula_weights_card(facts=weights_facts(done))
    write_pretrained(folder, done.built, card=card, facts=facts, kept_in=settings.weights_dtype)
    return folder


def report(
    done: Pretrained, settings: PretrainSettings, folder: Path, *, command: str, timings: Mapping[str, float]
) -> Path:
    """Write `report.html` and `report.json` and return the page's path.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    source = shlex.quote(f"local-dir:{folder / 'package'}")
    page = Report(
        title="Pretraining on formula images",
        created=time.strftime("%Y-%m-%d %H:%M"),
        command=command,
        sections=pretraining_sections(done, settings.model_dump(mode="json")),
        seed=done.seed,
        timings={**timings, "training": done.state.seconds},
        versions=versions(),
        next_commands=[f"vitrail fit PHOTOS --model {source}"],
        window_of=done.built.weights_sha256,
    )
    return write_report(page, folder)
