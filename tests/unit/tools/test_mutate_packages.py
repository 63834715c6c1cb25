import random

from tools.mutate_packages import GOOD, outcomes, small_package
from tools.package_changes import changed
from vitrail.basics.files import sha256_of


def test_a_package_changed_at_random_is_refused_in_words_or_answers_as_before() -> None:
    """The same as `python -m tools.mutate_packages`, with fewer changes."""
    seen = list(outcomes(30, seed=7))
    assert not [outcome for outcome in seen if outcome.kind not in GOOD]
    assert sum(outcome.kind == "refused" for outcome in seen) > 15
    assert all("\nhint: " in outcome.told for outcome in seen if outcome.kind == "refused")


def test_the_same_dice_make_the_same_change(tmp_path) -> None:
    folders = [small_package(tmp_path / name) for name in ("one", "two")]
    changes = [changed(folder, random.Random("x 4")) for folder in folders]
    assert changes[0] == changes[1]
    names = sorted(path.name for path in folders[0].iterdir() if path.is_file())
    assert [sha256_of(folders[0] / name) for name in names] == [sha256_of(folders[1] / name) for name in names]
