from tests.unit.data.inspection.rows import inspected
from vitrail.data.inspection.deep_pictures import deep_findings, tone_summary
from vitrail.data.inspection.telltale import telltale_findings


def deep(label, low, high, *, depth=None, split=None, **facts):
    count = len(label)
    return inspected(
        label, split=split, depth=depth or ["integer"] * count, least=[float(value) for value in low],
        low=[float(value) for value in low], high=[float(value) for value in high],
        white=[float(value) for value in high], **facts,
    )  # fmt: skip


def by_code(table):
    return {finding.code: finding for finding in deep_findings(table)}


def test_the_scale_of_12_bits_is_told():
    finding = by_code(deep(["a", "b"], [0, 3], [3000, 4000]))["tone"]
    assert (finding.severity, finding.title) == (
        "note",
        "2 images hold more than 8 bits, values 0 to 4,000: all are shown on one scale, black 0, white 4,095",
    )


def test_8_bits_have_no_scale():
    assert by_code(inspected(["a", "b"])) == {}
    assert tone_summary(inspected(["a", "b"])) is None


def test_the_scale_is_that_of_the_training_images_and_what_lies_beyond_is_named():
    table = deep(["a", "b", "a"], [-1000, -1000, -1000], [400, 400, 9000], split=["train", "train", "test"])
    finding = by_code(table)["tone"]
    assert "black -1,000, white 400; 1 image has values beyond that" in finding.title
    assert finding.details == ("/data/0002.jpg: -1,000 to 9,000",)
    summary = tone_summary(table)
    assert (summary["black"], summary["white"], summary["least"], summary["greatest"]) == (-1000, 400, -1000, 9000)


def test_numbers_that_are_none_are_counted():
    finding = by_code(deep(["a", "b"], [0, 0], [1, 1], depth=["floating"] * 2, not_finite=[0, 7]))["not-finite"]
    assert (finding.severity, finding.details) == ("warning", ("/data/0001.jpg: 7 values",))


def test_8_and_16_bits_in_one_set_are_warned_of():
    table = deep(["a", "b"], [0, 0], [4000, 0], depth=["integer", ""])
    assert by_code(table)["mixed-depth"].severity == "warning"


def test_deep_files_of_one_class_only_give_the_class_away_also_where_pillow_names_one_mode():
    label = ["a"] * 20 + ["b"] * 20
    table = deep(label, [0] * 40, [60_000] * 20 + [0] * 20, depth=["integer"] * 20 + [""] * 20)
    titles = [finding.title for finding in telltale_findings(table)]
    assert any("the depth of values alone predicts the class" in title for title in titles)
