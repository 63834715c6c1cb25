import dataclasses
import json

import pytest

from tests.unit.evaluation.test_report import NASTY, Outline
from vitrail.basics.errors import InputError
from vitrail.data.formula.settings import FormulaSettings
from vitrail.evaluation.card import formula_weights_card
from vitrail.evaluation.pretraining_facts import Pretrained
from vitrail.evaluation.pretraining_sections import pretraining_sections
from vitrail.evaluation.report import Report, write_report
from vitrail.models.plain_vit import PlainVitSettings, plain_vit
from vitrail.training.pretraining_settings import PretrainingSettings
from vitrail.training.state import TrainingState

EPOCHS = [
    {"epoch": number, "training_loss": 7.0 - number, "validation_loss": 6.5 - number, "validation_accuracy": number / 9,
     "digits_probe_accuracy": 0.5 + number / 20}
    for number in range(1, 7)
]  # fmt: skip
SETTINGS = {"seed": 3, "images": {"classes": 9, "families": ["fractal"]}, "views": {"mixup": 0.0}}


def pretrained(epochs=EPOCHS, reason="float32") -> Pretrained:
    shape = PlainVitSettings(width=24, depth=1)
    state = TrainingState(
        history=list(epochs), seconds=75.0, spent={"all": {"seconds": 2.0, "images": 500.0, "waited": 0.0}}
    )
    training = PretrainingSettings(steps=600, steps_per_epoch=100, sizes=(16,))
    return Pretrained(
        plain_vit(shape, sizes=(16,), classes=9, seed=0), state, reason, 0, FormulaSettings(classes=9), shape, training,
        seed=3, kept_in="float32",
    )  # fmt: skip


def report(done: Pretrained, settings=SETTINGS, **changed) -> Report:
    values = {
        "title": "Pretraining on formula images",
        "created": "2026-01-01 12:00",
        "command": "vitrail pretrain formula --steps 6",
        "sections": pretraining_sections(done, settings),
        "seed": 3,
        "timings": {"images": 3.0, "training": 75.0},
        "versions": {"python": "3.11"},
        "next_commands": ["vitrail fit PHOTOS"],
    }
    return Report(**{**values, **changed})


def test_the_page_says_how_good_the_weights_are_and_how_they_came_to_be(tmp_path):
    page = write_report(report(pretrained()), tmp_path)
    outline = Outline()
    outline.feed(page.read_text())
    assert not outline.open and "script" not in outline.tags
    for text in ("80.0 %", "77.1–82.6", "800 real digits", "66.7 % (35.4–87.9, n = 9)",
                 "1 min 15 s", "Steps were computed in float32.", "76,800", "250 images per second", "fractal",
                 "vitrail pretrain formula --steps 6", "Loss per epoch", "probe on digits"):  # fmt: skip
        assert text in outline.text, text


def test_the_same_numbers_are_there_for_machines(tmp_path):
    write_report(report(pretrained()), tmp_path)
    document = json.loads((tmp_path / "report.json").read_text())
    assert document["sections"]["training"]["figures"]["epochs"] == EPOCHS
    assert document["sections"]["pretraining"]["figures"]["digits"]["n"] == 800
    assert document["sections"]["settings"]["figures"] == SETTINGS
    assert (document["format"], document["seed"], document["timings"]["training"]) == (2, 3, 75.0)


def test_what_stands_in_settings_and_sentences_is_escaped(tmp_path):
    page = write_report(report(pretrained(reason=NASTY), {"views": {"mixup": NASTY}}), tmp_path)
    assert NASTY not in page.read_text()


def test_epochs_without_a_finite_loss_leave_a_gap(tmp_path):
    done = pretrained([{**EPOCHS[0], "training_loss": None}, *EPOCHS[1:]])
    assert write_report(report(done), tmp_path).exists()


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    broken = dataclasses.replace(report(pretrained()), timings={"training": float("nan")})
    with pytest.raises(InputError, match="JSON"):
        write_report(broken, tmp_path)


def test_the_card_says_what_the_weights_are_and_what_they_are_not():
    card = formula_weights_card(facts={"images_seen": 640})
    assert card.startswith("---\nlibrary_name: timm\n")
    assert "- images seen: 640\n" in card
    assert "## What it is not" in card and "It is no classifier" in card and "Its frozen features are weak" in card
