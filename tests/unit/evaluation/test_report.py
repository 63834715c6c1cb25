import dataclasses
import html
import html.parser
import json
import re
from pathlib import Path

import jinja2
import numpy as np
import pytest

from tests.unit.evaluation.realistic_report import DECISIONS, figures_of, realistic_report, with_figures
from vitrail.basics.errors import InputError, SystemFault
from vitrail.evaluation.report import write_report
from vitrail.evaluation.section import Section, Sentence, packaged_metrics
from vitrail.measures.intervals import Measure

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


def written(report, folder: Path) -> tuple[dict, str]:
    page = write_report(report, folder)
    assert page == folder / "report.html"
    return json.loads((folder / "report.json").read_text()), page.read_text()


def test_the_page_shows_the_numbers_of_the_json_file(tmp_path: Path) -> None:
    document, page = written(realistic_report(list("abcd"), n=200), tmp_path)
    text = outline(page).text
    figures = document["sections"]["quality"]["figures"]
    quality = figures["splits"]["val"]
    for fields in (
        quality["accuracy"],
        quality["majority"],
        figures["neighbours"]["val"],
        quality["calibration"]["error"],
    ):
        assert Measure.from_json(fields).text() in text
    for fields in (quality["auc"], quality["log_loss"], *(each["f1"] for each in quality["per_class"])):
        measure = Measure.from_json(fields)
        assert measure.value_text() in text and measure.interval_text() in text
    for row in quality["confusion"]:
        for count in filter(None, row):
            assert re.search(rf'class="count[^>]*>{count}<', page)
    assert Measure.from_json(figures["leak_free_accuracy"]).text() in text


def test_the_page_follows_from_the_json_file_alone(tmp_path: Path) -> None:
    """A section draws from what JSON can hold, and the same document makes the same page."""
    report = realistic_report(thumbnails=False)
    document, page = written(report, tmp_path / "first")
    read = [dataclasses.replace(each, figures=document["sections"][each.name]["figures"]) for each in report.sections]
    assert written(dataclasses.replace(report, sections=read), tmp_path / "second") == (document, page)


def test_a_value_that_the_page_misses_is_an_error(tmp_path: Path) -> None:
    report = realistic_report()
    empty = dataclasses.replace(report.sections[1], draw=lambda figures: {})
    with pytest.raises(jinja2.UndefinedError, match="'quality' is undefined"):
        write_report(dataclasses.replace(report, sections=[empty]), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_report_tells_the_whole_story_in_order(tmp_path: Path) -> None:
    report = realistic_report(list("abc"), n=120)
    text = outline(written(report, tmp_path)[1]).text
    story = [
        report.title,
        "accuracy on 120 validation images",
        "Better than always answering",
        "Nearest neighbours",
        "Per class",
        "What is taken for what",
        "Can its confidence be believed?",
        "Most wrong",
        figures_of(report, "most_wrong")["images"][0]["path"],
        "What was trained on what",
        "152 of 152 tensors used",
        "Apache-2.0",
        "224 × 224",
        "5,524,802",
        DECISIONS[0],
        figures_of(report, "model")["fingerprint"],
        "What the check found",
        "1 of 398 files cannot be read as an image",
        "the file is empty (0 bytes)",
        "What to be careful about",
        "7.9 s",
        "How to get this again",
        report.command,
        "2.15.0",
        "What to type next",
        report.next_commands[-1],
    ]
    places = [text.index(part) for part in story]
    assert places == sorted(places)


def test_names_paths_and_findings_are_only_ever_text(tmp_path: Path) -> None:
    report = realistic_report([NASTY, f'"{NASTY}', "' onload=alert(1) '"], n=90, title=NASTY)
    finding = {"code": "x", "severity": "note", "title": NASTY, "details": [NASTY], "hint": NASTY}
    report = with_figures(report, "findings", findings=[finding])
    facts = {NASTY: NASTY, "nested": {NASTY: NASTY}, "several": [NASTY]}
    report = with_figures(report, "model", [NASTY], model=facts)
    unknown = Section("unknown", 1, NASTY, {NASTY: NASTY, "nested": {NASTY: NASTY}}, [Sentence(NASTY, "better")])
    report = dataclasses.replace(
        report,
        sections=(*report.sections, unknown),
        command=NASTY,
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
    page = written(with_figures(report, "model", [hidden], model={hidden: [hidden]}), tmp_path)[1]
    assert not set("\u202e\u200b\x1b") & set(page)
    assert page.count(r"a\u202eb\u200bc\x1b[31m") > 5


def test_the_page_asks_nothing_of_the_network(tmp_path: Path) -> None:
    page = written(realistic_report(), tmp_path)[1]
    addresses = [value for name, value in outline(page).attributes if name in ("src", "href", "srcset", "action")]
    assert addresses and all(address.startswith(("data:", "#")) for address in addresses)
    assert "url(" not in page and "@import" not in page and "http://" not in page and "https://" not in page


def test_thumbnails_can_be_switched_off_and_paths_stay(tmp_path: Path) -> None:
    report = realistic_report(n=200, skill=0.5)
    with_pictures = written(report, tmp_path / "with")[1]
    without = written(realistic_report(n=200, skill=0.5, thumbnails=False), tmp_path / "without")[1]
    wrong = figures_of(report, "most_wrong")["images"]
    assert with_pictures.count("<img") == len(wrong) == 12 and "<img" not in without
    assert all(html.escape(entry["path"]) in without for entry in wrong)


def test_the_test_split_stands_on_top_when_there_is_one(tmp_path: Path) -> None:
    report = realistic_report()
    val = figures_of(report, "quality")["splits"]["val"]
    both = {"val": val, "test": {**val, "measured_on": "test"}}
    page = written(with_figures(report, "quality", splits=both, headline_split="test", neighbours={}), tmp_path)[1]
    assert "accuracy on 153 test images" in outline(page).text


@pytest.mark.parametrize(("classes", "matrix"), [(30, True), (31, False)])
def test_many_classes_get_a_list_of_mistakes_instead_of_a_matrix(tmp_path: Path, classes: int, matrix: bool) -> None:
    document, page = written(realistic_report([f"kind {k}" for k in range(classes)], n=400, skill=1.5), tmp_path)
    assert ('class="matrix"' in page) is matrix
    quality = document["sections"]["quality"]["figures"]["splits"]["val"]
    assert "taken for" in outline(page).text and len(quality["confusion"]) == classes
    assert "The ten with the lowest recall" in page


def test_classes_are_shown_as_people_count_and_stay_in_the_logits_order_for_machines(tmp_path: Path) -> None:
    kept, page = written(realistic_report(("1", "10", "2")), tmp_path)
    quality = kept["sections"]["quality"]["figures"]["splits"]["val"]
    assert quality["classes"] == [each["name"] for each in quality["per_class"]] == ["1", "10", "2"]
    for section in ("model", "quality-classes"):
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
    report = with_figures(realistic_report(skill=30.0), "quality", leak_free_accuracy=None)
    report = with_figures(report, "findings", findings=[])
    text = outline(written(report, tmp_path)[1]).text
    assert "100.0 %" in text and "Nothing to worry about." in text and "No mistakes on these images." in text
    assert "Most wrong" not in text and "Without the images" not in text


def test_undefined_figures_say_why(tmp_path: Path) -> None:
    report = realistic_report(["a", "b", "c", "d", "e"], n=3)
    text = outline(written(report, tmp_path)[1]).text
    assert "undefined" in text and "no image of class '" in text and "' was never predicted" in text


def test_two_sections_of_one_name_are_refused() -> None:
    report = realistic_report()
    with pytest.raises(InputError) as caught:
        dataclasses.replace(report, sections=[*report.sections, report.sections[1]])
    assert str(caught.value) == "every section of a report once was expected, 'quality' is there twice"


def test_a_value_that_is_not_json_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    for value in (float("nan"), Path("somewhere")):
        with pytest.raises(InputError, match="the report holds a value that JSON cannot"):
            write_report(with_figures(realistic_report(), "model", model={"x": value}), tmp_path)
    assert list(tmp_path.iterdir()) == []


MEASURE = Measure("accuracy", 0.75, 4, 0.3, 0.95, method="Wilson").as_json()


def test_measures_at_any_depth_are_shown_as_people_read_them(tmp_path: Path) -> None:
    figures = {
        "overall": MEASURE,
        "by_site": {"site_a": MEASURE, "site a": {**MEASURE, "n": 5}},
        "by_sex": {"f": {"recall": MEASURE, "false_alarms": MEASURE}, "m": {"recall": MEASURE}},
        "mixed": {"of_all": MEASURE, "share": 0.1 + 0.2},
        "several": [MEASURE, {"deep": {"er": MEASURE}}],
    }
    page = written(dataclasses.replace(realistic_report(), sections=[Section("plain", 1, "t", figures)]), tmp_path)[1]
    text = outline(page[page.index('<section id="plain"') : page.index('<section id="report-time"')]).text
    assert "<dd>0.3</dd>" in page and "{" not in text and "None" not in text and text.count("75.0 %") == 9
    assert all(told in text for told in ("site_a", "site a", "false alarms", "30.0–95.0, n = 4", "er: 75.0"))


def test_a_table_of_many_groups_is_folded(tmp_path: Path) -> None:
    for many, folded in ((20, False), (21, True)):
        section = Section("plain", 1, "t", {"sites": {f"site {k}": MEASURE for k in range(many)}})
        page = written(dataclasses.replace(realistic_report(), sections=[section]), tmp_path)[1]
        assert ("<details>" in page) is folded and page.count("75.0 %") == many


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"name": 'a b"><i>'}, """a section is named 'a b"><i>'\nhint: small letters, digits and _"""),
        (
            {"packaged": ("acuracy",)},
            "the section 'x' would package 'acuracy', no figure of it\nhint: did you mean accuracy?",
        ),
        ({"packaged": ("version",)}, "the section 'x' would package a figure 'version', where its own version stands"),
    ],
)
def test_a_section_that_cannot_be_named_or_packaged_is_refused_when_it_is_made(changed, text) -> None:
    with pytest.raises(InputError) as caught:
        Section(**{"name": "x", "version": 1, "title": "t", "figures": {"accuracy": 1, "version": 7}, **changed})
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("value", [float("nan"), np.int64(3), np.float32(0.5), np.arange(2)])
def test_a_figure_that_is_not_json_is_refused_with_its_section_in_page_and_package(value, tmp_path: Path) -> None:
    section = Section("mine", 1, "t", {"x": value}, packaged=("x",))
    for made in (lambda: packaged_metrics([section]), lambda: write_report(
        dataclasses.replace(realistic_report(), sections=[section]), tmp_path)):  # fmt: skip
        with pytest.raises(
            InputError, match=r"the section 'mine' of the report holds a value that JSON cannot: .*\nhint"
        ):
            made()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, "cannot be read: No such file"), (b"{% if %}", "is none: line 1: Expected"), (b"\xff", "is not UTF-8")],
)
def test_a_strangers_template_that_is_none_is_refused_by_name_and_nothing_is_written(content, text, tmp_path) -> None:
    template = tmp_path / "mine.html"
    if content is not None:
        template.write_bytes(content)
    report = dataclasses.replace(realistic_report(), sections=[Section("mine", 1, "t", {}, template=template)])
    with pytest.raises(InputError, match=rf"the page template .*mine\.html {text}"):
        write_report(report, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises((InputError, SystemFault), match="a file stands where a folder is needed"):
        write_report(realistic_report(), tmp_path / "runs")


def test_a_package_gets_only_the_figures_that_a_section_gives_away() -> None:
    report = realistic_report()
    metrics = packaged_metrics(report.sections)
    assert list(metrics) == ["quality"] and metrics["quality"]["version"] == 1
    assert metrics["quality"]["splits"] == figures_of(report, "quality")["splits"]
    assert ".jpg" not in json.dumps(metrics)
