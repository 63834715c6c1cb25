import dataclasses
import html
import html.parser
import json
import re
from pathlib import Path

import jinja2
import pytest

from tests.unit.evaluation.realistic_report import realistic_report
from vitrail.basics.errors import InputError, SystemFault
from vitrail.evaluation.report import render_report, write_report
from vitrail.measures.intervals import Measure
from vitrail.pages.frame import render_page
from vitrail.pages.plots import interval_bar

NASTY = "<script>alert(1)</script>"
VOID = {"meta", "link", "img", "br"}


class Outline(html.parser.HTMLParser):
    """Collects tags, addresses and text, and insists on balanced tags."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


def outline(page: str) -> Outline:
    parsed = Outline()
    parsed.feed(page)
    assert parsed.open == []
    parsed.text = re.sub(r"\s+", " ", parsed.text)
    return parsed


def written(report, folder: Path, *, thumbnails: bool = True) -> tuple[dict, str]:
    page = write_report(report, folder, thumbnails=thumbnails)
    assert page == folder / "report.html"
    return json.loads((folder / "report.json").read_text()), page.read_text()


def test_the_page_shows_the_numbers_of_the_json_file(tmp_path: Path) -> None:
    document, page = written(realistic_report(list("abcd"), n=200), tmp_path)
    text = outline(page).text
    quality = document["qualities"]["val"]
    for fields in (
        quality["accuracy"],
        quality["majority"],
        document["neighbours"]["val"],
        quality["calibration"]["error"],
    ):
        assert Measure.from_json(fields).text() in text
    for fields in (quality["auc"], quality["log_loss"], *(each["f1"] for each in quality["per_class"])):
        measure = Measure.from_json(fields)
        assert measure.value_text() in text and measure.interval_text() in text
    for row in quality["confusion"]:
        for count in filter(None, row):
            assert re.search(rf'class="count[^>]*>{count}<', page)
    assert Measure.from_json(document["leak_free_accuracy"]).text() in text


def test_the_page_follows_from_the_json_file_alone(tmp_path: Path) -> None:
    document, page = written(realistic_report(), tmp_path, thumbnails=False)
    assert render_report(document, [None] * len(document["most_wrong"])) == page


def test_a_value_that_the_page_misses_is_an_error(tmp_path: Path) -> None:
    document = written(realistic_report(skill=30.0), tmp_path)[0]
    values = {
        "report": document,
        "quality": document["qualities"]["val"],
        "pictures": [],
        "matrix": None,
        "confusions": (),
    }
    with pytest.raises(jinja2.UndefinedError, match="'window' is undefined"):
        render_page("report.html", bar=interval_bar, **values)


def test_the_report_tells_the_whole_story_in_order(tmp_path: Path) -> None:
    report = realistic_report(list("abc"), n=120)
    text = outline(written(report, tmp_path)[1]).text
    story = [
        report.title,
        "accuracy on 120 validation images",
        "Better than always answering",
        "Nearest neighbours",
        "What was trained on what",
        "152 of 152 tensors used",
        "Apache-2.0",
        "224 × 224",
        "5,524,802",
        report.chosen[0],
        "7.9 s",
        "Per class",
        "What is taken for what",
        "Most wrong",
        report.most_wrong[0]["path"],
        "What the check found",
        "1 of 398 files cannot be read as an image",
        "the file is empty (0 bytes)",
        "Can its confidence be believed?",
        "What to be careful about",
        "How to get this again",
        report.command,
        "2.15.0",
        report.data["fingerprint"],
        "What to type next",
        report.next_commands[-1],
    ]
    places = [text.index(part) for part in story]
    assert places == sorted(places)


def test_names_paths_and_findings_are_only_ever_text(tmp_path: Path) -> None:
    report = realistic_report([NASTY, f'"{NASTY}', "' onload=alert(1) '"], n=90, title=NASTY)
    finding = {"code": "x", "severity": "note", "title": NASTY, "details": [NASTY], "hint": NASTY}
    report = dataclasses.replace(
        report,
        findings=[finding],
        chosen=[NASTY],
        command=NASTY,
        model={NASTY: NASTY, "nested": {NASTY: NASTY}, "several": [NASTY]},
        versions={NASTY: NASTY},
        timings={NASTY: 1.0},
        next_commands=[NASTY],
    )
    parsed = outline(written(report, tmp_path)[1])
    assert "script" not in parsed.tags and "onload" not in dict(parsed.attributes)
    assert parsed.text.count(NASTY) > 20


def test_what_hides_in_a_name_or_turns_words_round_is_spelled_out_on_the_page(tmp_path: Path) -> None:
    hidden = "a\u202eb\u200bc\x1b[31m"
    report = realistic_report([hidden, "other"], n=90, title=hidden)
    page = written(dataclasses.replace(report, model={hidden: [hidden]}, chosen=[hidden]), tmp_path)[1]
    assert not set("\u202e\u200b\x1b") & set(page)
    assert page.count(r"a\u202eb\u200bc\x1b[31m") > 5


def test_the_page_asks_nothing_of_the_network(tmp_path: Path) -> None:
    page = written(realistic_report(), tmp_path)[1]
    addresses = [value for name, value in outline(page).attributes if name in ("src", "href", "srcset", "action")]
    assert addresses and all(address.startswith("data:") for address in addresses)
    assert "url(" not in page and "@import" not in page and "http://" not in page and "https://" not in page


def test_thumbnails_can_be_switched_off_and_paths_stay(tmp_path: Path) -> None:
    report = realistic_report(n=200, skill=0.5)
    with_pictures = written(report, tmp_path / "with")[1]
    without = written(report, tmp_path / "without", thumbnails=False)[1]
    assert with_pictures.count("<img") == len(report.most_wrong) == 12 and "<img" not in without
    assert all(html.escape(entry["path"]) in without for entry in report.most_wrong)


def test_an_image_that_could_not_be_opened_again_is_listed_without_a_picture(tmp_path: Path) -> None:
    report = realistic_report(n=200, skill=0.5)
    first = {**report.most_wrong[0], "thumbnail_source": None}
    page = written(dataclasses.replace(report, most_wrong=[first, report.most_wrong[1]]), tmp_path)[1]
    assert page.count("<img") == 1 and first["path"] in page


def test_the_test_split_stands_on_top_when_there_is_one(tmp_path: Path) -> None:
    report = realistic_report()
    quality = dataclasses.replace(report.qualities["val"], measured_on="test")
    both = dataclasses.replace(report, qualities={"val": report.qualities["val"], "test": quality}, neighbours={})
    document, page = written(both, tmp_path)
    assert document["headline_split"] == "test" and "accuracy on 153 test images" in outline(page).text


@pytest.mark.parametrize(("classes", "matrix"), [(30, True), (31, False)])
def test_many_classes_get_a_list_of_mistakes_instead_of_a_matrix(tmp_path: Path, classes: int, matrix: bool) -> None:
    document, page = written(realistic_report([f"kind {k}" for k in range(classes)], n=400, skill=1.5), tmp_path)
    assert ('class="matrix"' in page) is matrix
    assert "taken for" in outline(page).text and len(document["qualities"]["val"]["confusion"]) == classes
    assert "The ten with the lowest recall" in page


def test_classes_are_shown_as_people_count_and_stay_in_the_logits_order_for_machines(tmp_path: Path) -> None:
    kept, page = written(realistic_report(("1", "10", "2")), tmp_path)
    quality = kept["qualities"]["val"]
    assert quality["classes"] == [each["name"] for each in quality["per_class"]] == ["1", "10", "2"]
    for section in ("trained", "classes"):
        part = page[page.index(f'<section id="{section}"') :].partition("</section>")[0]
        assert re.findall(r'<th scope="row">(\d+)</th>', part) == ["1", "2", "10"], section
    counts = re.findall(r"<title>(\d+) (?:recognised|taken for (\d+)): (\d+) of", page)
    matrix = {(true, taken or true): int(count) for true, taken, count in counts}
    for row, true in enumerate(quality["classes"]):
        for column, taken in enumerate(quality["classes"]):
            assert matrix.get((true, taken), 0) == quality["confusion"][row][column]


def test_a_report_stays_small(tmp_path: Path) -> None:
    page = written(realistic_report([f"a class with a long name {k}" for k in range(40)], n=800), tmp_path)[1]
    assert len(page) < 200_000


def test_nothing_found_and_nothing_wrong_reads_well(tmp_path: Path) -> None:
    report = dataclasses.replace(realistic_report(skill=30.0), findings=[], leak_free_accuracy=None)
    text = outline(written(report, tmp_path)[1]).text
    assert "100.0 %" in text and "Nothing to worry about." in text and "No mistakes on these images." in text
    assert "Most wrong" not in text and "Without the images" not in text


def test_undefined_figures_say_why(tmp_path: Path) -> None:
    report = realistic_report(["a", "b", "c", "d", "e"], n=3)
    text = outline(written(report, tmp_path)[1]).text
    assert "undefined" in text and "no image of class '" in text and "' was never predicted" in text


def test_a_report_without_a_judged_split_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        dataclasses.replace(realistic_report(), qualities={})
    assert str(caught.value) == "a report needs at least one judged split, got none"


def test_a_value_that_is_not_json_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    for value in (float("nan"), Path("somewhere")):
        with pytest.raises(InputError, match="the report holds a value that JSON cannot"):
            write_report(dataclasses.replace(realistic_report(), model={"x": value}), tmp_path, thumbnails=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises((InputError, SystemFault), match="a file stands where a folder is needed"):
        write_report(realistic_report(), tmp_path / "runs", thumbnails=False)
