"""One data set of three kinds of pictures, and packages that were fitted to its likes."""

import pytest

from tests.conftest import picture
from tests.rollout import fitted_package, permuted, unsure, without_first_class
from vitrail.data.checked_files import checked_places
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.prediction.answers import gathered_answers
from vitrail.prediction.predictor import load
from vitrail.rollout.admission.contest import Contender, Contest
from vitrail.rollout.admission.policy import AdmissionPolicy
from vitrail.workflows.check import check

KINDS = {
    "good": {}, "again": {"ridge": 1.1e-2}, "permuted": {"change": permuted}, "unsure": {"change": unsure},
    "bad class": {"change": without_first_class}, "slow": {"model": "vit_tiny_patch16_224", "size": 64},
    "without reference": {"reference": False},
}  # fmt: skip


def write_pictures(root, count, *, seed):
    for hue, label in enumerate(("blue", "green", "red")):
        (root / label).mkdir(parents=True)
        for number in range(count):
            picture(seed + 1000 * hue + number, hue=hue).save(root / label / f"{number:03}.png")
    return root


@pytest.fixture(scope="session")
def colours(tmp_path_factory):
    """Class folders to fit to, and others to judge on."""
    folder = tmp_path_factory.mktemp("colours")
    return write_pictures(folder / "train", 60, seed=10_000), write_pictures(folder / "new", 40, seed=50_000)


@pytest.fixture(scope="session")
def fitted(colours, tmp_path_factory):
    """A package of a kind, made when it is first asked for."""
    folder, made = tmp_path_factory.mktemp("fitted"), {}

    def of(kind):
        if kind not in made:
            made[kind] = fitted_package(folder / kind.replace(" ", "-"), colours[0], **KINDS[kind])
        return made[kind]

    return of


@pytest.fixture(scope="session")
def contenders(colours, fitted):
    """A candidate with its answers, by the kind of its package."""
    rows, made = check(colours[1], workers=0, emit=lambda _: None).table, {}

    def of(kind):
        if kind not in made:
            predictor = load(fitted(kind), device="cpu")
            answers = gathered_answers(predictor.answers(checked_places(rows), batch_size=40, workers=0))
            judged = JudgedImages.of_answers(rows, answers, measured_on="new")
            made[kind] = Contender(f"colours@{list(KINDS).index(kind) + 1}", predictor, judged)
        return made[kind]

    return of


@pytest.fixture
def contest(contenders):
    """`contest("permuted", "good", margin=0.1)`."""

    def of(candidate, stable=None, **bounds):
        policy = AdmissionPolicy.parse(device="cpu", **bounds)
        return Contest(contenders(candidate), None if stable is None else contenders(stable), policy)

    return of
