import json

import pytest

from tests.unit.evaluation.test_report import NASTY, Outline
from vitrail.evaluation.card import formula_weights_card
from vitrail.evaluation.pretraining_report import PretrainingReport, write_pretraining_report
from vitrail.measures.intervals import wilson

EPOCHS = [
    {"epoch": number, "training_loss": 7.0 - number, "validation_loss": 6.5 - number, "validation_accuracy": number / 9,
     "digits_probe_accuracy": 0.5 + number / 20}
    for number in range(1, 7)
]  # fmt: skip


def report(**changed):
    values = {
        "title": "Pretraining on formula images",
        "created": "2026-01-01 12:00",
        "command": "vitrail pretrain formula --steps 6",
        "seed": 3,
        "figures": {"digits": wilson(640, 800, name="accuracy"), "renderings": wilson(6, 9, name="accuracy")},
        "model": {"architecture": "ViT, width 24", "images_seen": 76_800},
        "settings": {"seed": 3, "images": {"classes": 9, "families": ["fractal"]}, "views": {"mixup": 0.0}},
        "epochs": EPOCHS,
        "chosen": ["Steps were computed in float32."],
        "speed": {"images_per_second": 250.0, "waiting_percent": 0.4},
        "timings": {"images": 3.0, "training": 75.0},
        "versions": {"python": "3.11"},
        "next_commands": ["vitrail fit PHOTOS"],
    }
    return PretrainingReport(**{**values, **changed})


def test_the_page_says_how_good_the_weights_are_and_how_they_came_to_be(tmp_path):
    page = write_pretraining_report(report(), tmp_path)
    outline = Outline()
    outline.feed(page.read_text())
    assert not outline.open and "script" not in outline.tags
    for text in ("80.0 %", "77.1–82.6", "800 real digits", "66.7 % (35.4–87.9, n = 9)",
                 "1 min 15 s", "Steps were computed in float32.", "76,800", "fractal",
                 "vitrail pretrain formula --steps 6", "Loss per epoch", "probe on digits"):  # fmt: skip
        assert text in outline.text, text


def test_the_same_numbers_are_there_for_machines(tmp_path):
    write_pretraining_report(report(), tmp_path)
    document = json.loads((tmp_path / "report.json").read_text())
    assert document["epochs"] == EPOCHS
    assert (document["format"], document["seed"], document["timings"]["training"]) == (1, 3, 75.0)


def test_what_stands_in_settings_and_sentences_is_escaped(tmp_path):
    page = write_pretraining_report(report(chosen=[NASTY], settings={"views": {"mixup": NASTY}}), tmp_path)
    assert NASTY not in page.read_text()


def test_epochs_without_a_finite_loss_leave_a_gap(tmp_path):
    epochs = [{**EPOCHS[0], "training_loss": None}, *EPOCHS[1:]]
    assert write_pretraining_report(report(epochs=epochs), tmp_path).exists()


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_pretraining_report(report(timings={"training": float("nan")}), tmp_path)


def test_the_card_says_what_the_weights_are_and_what_they_are_not():
    card = formula_weights_card(facts={"images_seen": 640})
    assert card.startswith("---\nlibrary_name: timm\n")
    assert "- images seen: 640\n" in card
    assert "## What it is not" in card and "It is no classifier" in card and "Its frozen features are weak" in card
