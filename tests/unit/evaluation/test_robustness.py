import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest
import torch

import vitrail
from tests.unit.evaluation.realistic_report import realistic_answers
from tests.unit.models.test_package import CLASSES, built_model, contents
from vitrail.basics.errors import InputError, SettingsError
from vitrail.basics.events import WorkAdvanced, WorkStarted
from vitrail.basics.seeds import derived_seed
from vitrail.evaluation.corruption_reference import corruption_reference
from vitrail.evaluation.disturbed_answers import DisturbedAnswers, disturbed_answers
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.report import Report, write_report
from vitrail.evaluation.robustness import gradient_check, robustness_section
from vitrail.evaluation.robustness_settings import RobustnessSettings
from vitrail.evaluation.subject import NotJudged, Subject
from vitrail.measures.corruption_error import ALEXNET_ERRORS
from vitrail.measures.intervals import Measure
from vitrail.models.package import write_package
from vitrail.prediction.answers import gathered_answers

FEW = {
    "attack_levels": (2, 16), "attack_steps": 3, "noise_levels": (0.1, 0.3), "corruptions": ("fog", "contrast"),
    "corruption_severities": (1, 5), "robustness_batch_size": 4,
}  # fmt: skip

FEWER = {**FEW, "attack_levels": (), "attack_steps": 2, "corruptions": ("fog",)}


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    """A random network, and 11 images whose labels are what it says but for the last two."""
    from tests.conftest import picture

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("robustness")
    write_package(folder / "package", built_model(), contents=contents())
    predictor = vitrail.load(folder / "package", device="cpu")
    for number in range(11):
        place = folder / "images" / CLASSES[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        picture(number, size=(60, 50), hue=number % 3).save(place / f"{number}.png")
    rows = vitrail.check(folder / "images", emit=vitrail.nobody).table
    answers = gathered_answers(predictor.answers(rows["path"].to_pylist(), workers=0))
    said = [CLASSES[each] for each in answers.logits.argmax(axis=1)]
    other = [CLASSES[(CLASSES.index(each) + 1) % 3] for each in said]
    labels = pa.array([*said[:9], *other[9:]])
    rows = rows.set_column(rows.column_names.index("label"), "label", labels)
    return Subject(JudgedImages.of_answers(rows, answers, measured_on="val"), predictor, seed=3)


@pytest.fixture(scope="module")
def section(subject):
    return robustness_section(subject, RobustnessSettings(**FEW))


def test_the_figures_of_the_articles_stand_under_their_names(section):
    figures = section.as_json()["figures"]
    assert figures["clean_accuracy"]["value"] == pytest.approx(9 / 11)
    assert figures["adversarial_accuracy"]["value"] <= 9 / 11
    drop = figures["clean_accuracy"]["value"] - figures["adversarial_accuracy"]["value"]
    assert figures["robustness_drop"]["value"] == pytest.approx(drop) and figures["robustness_drop"]["low"] is not None
    assert {"noise_0.1", "noise_0.3"} <= set(figures) and figures["attack_epsilon"] == 0.1
    assert set(section.packaged) <= set(figures)


def test_curves_begin_at_the_clean_accuracy_and_fall(section):
    attacks = section.figures["attacks"]
    assert [round(255 * each["epsilon"], 1) for each in attacks] == [0, 2, 16, 25.5]
    assert all(attacks[0][kind]["value"] == pytest.approx(9 / 11) for kind in ("fgsm", "pgd", "random"))
    robust = [each["pgd"]["value"] for each in attacks]
    assert robust == sorted(robust, reverse=True) and robust[-1] < robust[0]
    assert all(each["pgd"]["n"] == 11 and each["pgd_success"]["n"] == 9 for each in attacks), "of all, and of the right"
    misled = [round(each["pgd_success"]["value"] * 9) for each in attacks]
    assert [round(share * 11) for share in robust] == [9 - each for each in misled]


def test_the_attack_is_the_plain_one_image_by_image(subject, section):
    view = subject.predictor.logits_from_unit_pixels()
    right = 0
    for path, label in zip(subject.judged.paths, subject.judged.labels, strict=True):
        pixels = torch.from_numpy(subject.predictor.pixels(path).copy()).permute(2, 0, 1)[None].float() / 255
        asked = pixels.clone().requires_grad_()
        torch.nn.functional.cross_entropy(view(asked), torch.tensor([label])).backward()
        moved = (pixels + 0.1 * asked.grad.sign()).clamp(0, 1)
        right += int(view(moved).argmax()) == label
    assert section.figures["adversarial_accuracy"]["value"] == pytest.approx(right / 11)


def test_nothing_depends_on_batches_and_a_seed_decides_what_is_drawn(subject, section):
    other = robustness_section(subject, RobustnessSettings(**{**FEW, "robustness_batch_size": 7}))
    again = robustness_section(subject, RobustnessSettings(**FEW))
    assert again.as_json() == section.as_json()
    for name in ("clean_accuracy", "adversarial_accuracy", "noise_0.1", "noise_0.3", "corruptions"):
        assert other.figures[name] == section.figures[name], name


def test_what_is_drawn_belongs_to_the_image_not_to_its_place_in_a_batch(subject, monkeypatch):
    """Every picture that the model is shown is the same, whatever the size of batches."""
    view = subject.predictor.logits_from_unit_pixels()
    shown: dict[int, set] = {4: set(), 7: set()}
    noise = {
        "attack_epsilon": 0.1,
        "attack_levels": (),
        "attack_steps": 1,
        "noise_levels": (0.2,),
        "corruptions": ("fog",),
    }
    for size, seen in shown.items():

        def watched(pixels, seen=seen):
            seen |= {each.numpy().tobytes() for each in pixels.detach()}
            return view(pixels)

        monkeypatch.setattr(subject.predictor, "logits_from_unit_pixels", lambda watched=watched: watched)
        disturbed_answers(subject, subject.judged, RobustnessSettings(**noise, robustness_batch_size=size))
    # An attack's own last digits may differ; the images, noise, chance, fog and the start of PGD are the same.
    assert len(shown[4] & shown[7]) >= 11 * 4 + 9
    pixels = subject.predictor.pixels(subject.judged.paths[5]) / np.float32(255)
    dice = np.random.Generator(np.random.PCG64(derived_seed(3, "robustness", "noise", subject.judged.ids[5])))
    noisy = (pixels + np.float32(0.2) * dice.standard_normal(pixels.shape, dtype=np.float32)).clip(0, 1)
    assert np.ascontiguousarray(noisy.transpose(2, 0, 1)).tobytes() in shown[4]


def test_an_attack_and_noise_of_0_change_nothing(subject):
    still = {"attack_epsilon": 0, "attack_levels": (), "noise_levels": (0,), "corruptions": ()}
    figures = robustness_section(subject, RobustnessSettings(**still)).as_json()["figures"]
    assert figures["adversarial_accuracy"]["value"] == figures["noise_0"]["value"] == figures["clean_accuracy"]["value"]
    assert figures["robustness_drop"]["value"] == 0 and figures["robustness_drop"]["low"] < 0
    assert figures["corruption_errors"] is None and len(figures["attacks"]) == 1


def test_progress_tells_of_all_answers_and_the_model_is_left_as_it_was(subject):
    told = []
    modes = [module.training for module in subject.predictor.model.modules()]
    robustness_section(dataclasses.replace(subject, emit=told.append), RobustnessSettings(**FEWER))
    (started,) = [each for each in told if isinstance(each, WorkStarted) and each.work == "robustness"]
    assert (
        sum(each.by for each in told if isinstance(each, WorkAdvanced) and each.work == "robustness") == started.total
    )
    assert [module.training for module in subject.predictor.model.modules()] == modes
    assert all(each.grad is None for each in subject.predictor.model.parameters())


def test_the_page_shows_curves_pictures_and_the_table(section, tmp_path):
    assert 1 <= len(section.figures["examples"]) <= 4
    write_report(Report("ants", "today", "vitrail evaluate", [section]), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert page.count('<svg class="curve"') == 2 and "Accuracy under attack" in page
    assert page.count('alt="the change, amplified"') == len(section.figures["examples"])
    assert "jpeg;base64" in page and 'class="corruptions"' in page
    told = json.loads((tmp_path / "report.json").read_text())["sections"]["robustness"]
    assert str(Measure.from_json(told["figures"]["noise_0.1"]).value_text()) in page
    assert all(
        sentence["verdict"] in (None, "better", "worse", "not enough evidence") for sentence in told["sentences"]
    )


def test_errors_are_divided_by_those_of_an_earlier_report(subject, section, tmp_path):
    write_report(Report("earlier", "today", "vitrail evaluate", [section]), tmp_path)
    figures = robustness_section(
        subject, RobustnessSettings(**{**FEWER, "corruptions": FEW["corruptions"]}, corruption_reference=tmp_path)
    ).figures
    errors = figures["corruption_errors"]
    assert errors["reference"] == "earlier" and errors["mean_corruption_error"]["value"] == pytest.approx(1)
    with pytest.raises(InputError, match=r"measured at the severities 1, 5, not at 1, 3"):
        robustness_section(
            subject, RobustnessSettings(**{**FEWER, "corruption_severities": (1, 3)}, corruption_reference=tmp_path)
        )
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(InputError, match=r"has no errors on corrupted pictures\nhint: name the report.json"):
        robustness_section(subject, RobustnessSettings(**FEWER, corruption_reference=tmp_path / "report.json"))
    with pytest.raises(InputError, match="cannot be read"):
        robustness_section(subject, RobustnessSettings(**FEWER, corruption_reference=tmp_path / "nowhere"))


def test_alexnet_is_the_reference_of_imagenets_classes_at_all_severities_alone():
    imagenet = [f"n{number:08d}" for number in range(1000)]
    whole = RobustnessSettings(corruption_severities=(1, 2, 3, 4, 5))
    assert corruption_reference(whole, imagenet) == ("AlexNet (published)", ALEXNET_ERRORS)
    assert corruption_reference(whole, imagenet[:999]) is None
    assert corruption_reference(RobustnessSettings(), imagenet) is None


def test_groups_are_respected(subject):
    judged = dataclasses.replace(subject.judged, groups=np.arange(11) // 3)
    figures = robustness_section(dataclasses.replace(subject, judged=judged), RobustnessSettings(**FEWER)).figures
    assert figures["groups"] == 4 and "groups" in figures["clean_accuracy"]["method"]
    assert figures["corruption_errors"]["mean_accuracy"]["method"] == "cluster bootstrap"


def test_hidden_gradients_are_said(subject):
    """A model that rounds what it sees has no gradient: no attack succeeds, and that is no robustness."""

    class Rounding(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return self.inner(x.detach() + 0 * x)

    predictor = vitrail.load(subject.predictor.package.folder, device="cpu")
    predictor.model = Rounding(predictor.model)
    masked = robustness_section(dataclasses.replace(subject, predictor=predictor), RobustnessSettings(**FEWER))
    check = masked.figures["gradient_check"]
    assert check["images_without_gradient"] == 11 and check["nothing_misled"]
    texts = [sentence.text for sentence in masked.sentences]
    assert any(text.startswith("The gradient is 0, or no number, for 11 images") for text in texts)
    assert masked.sentences[0].verdict == "not enough evidence"


def test_signs_of_hidden_gradients_are_counted():
    judged = realistic_answers(["ant", "bee"], n=8)
    true, other = judged.labels, 1 - judged.labels
    wrong = np.arange(8) == 7  # the last one is answered wrongly as it is
    misled = {count: np.where((np.arange(8) < count) | wrong, other, true) for count in (0, 2, 3)}

    def check(fgsm, withstood, by_chance):
        found = DisturbedAnswers(misled[0], np.arange(8) == 1)
        found.fgsm[0.1], found.withstood["inf", 0.1], found.random[0.1] = misled[fgsm], withstood, misled[by_chance]
        return gradient_check(found, judged)

    fine = check(3, (np.arange(8) > 2) & ~wrong, 0)
    assert fine == {
        "images_without_gradient": 1, "one_step_succeeded_where_many_failed": 0, "chance_misleads_as_often": False,
        "nothing_misled": False,
    }  # fmt: skip
    assert check(3, (np.arange(8) > 0) & ~wrong, 0)["one_step_succeeded_where_many_failed"] == 2
    assert check(2, (np.arange(8) > 2) & ~wrong, 3)["chance_misleads_as_often"]
    assert check(0, ~wrong, 0)["nothing_misled"] and not check(0, ~wrong, 0)["chance_misleads_as_often"]


def test_answers_without_a_model_cannot_be_tried(subject):
    with pytest.raises(NotJudged, match="it needs the model"):
        robustness_section(Subject(subject.judged), RobustnessSettings())


def test_settings_are_read_as_people_write_them_and_nonsense_is_refused():
    found = RobustnessSettings.parse(noise_levels="0.2, 0.1", corruptions="snow,fog", corruption_severities=3)
    assert (found.noise_levels, found.corruptions, found.corruption_severities) == ((0.1, 0.2), ("snow", "fog"), (3,))
    assert RobustnessSettings.parse(corruptions="").corruptions == ()
    with pytest.raises(SettingsError, match="there is no corruption 'fogg'"):
        RobustnessSettings.parse(corruptions="fogg")
    with pytest.raises(SettingsError, match="corruption_severities"):
        RobustnessSettings.parse(corruption_severities=[0, 6])
    with pytest.raises(SettingsError, match="numbers from 0 on"):
        RobustnessSettings.parse(noise_levels=[-0.1])
