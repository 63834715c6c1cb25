"""A stranger's evaluation becomes a part of the report, without a change to any file of Vitrail."""

import json

import numpy as np

from tests.unit.evaluation.realistic_report import image_rows
from tests.unit.models.test_package import built_model, contents
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.report import Report, write_report
from vitrail.evaluation.section import Section, Sentence, packaged_metrics
from vitrail.measures.classification import accuracy
from vitrail.models.package import read_package, write_package


def by_site(judged: JudgedImages) -> Section:
    """How often the model is right, overall and at every site; a single site is nobody's business but the owner's."""
    site = judged.attribute("site")
    parts = {each: judged.where(site == each) for each in sorted(set(site))}
    sites = {each: accuracy(part.labels, part.predicted).as_json() for each, part in parts.items()}
    overall = accuracy(judged.labels, judged.predicted).as_json()
    worst = min(sites, key=lambda each: sites[each]["value"])
    told = [Sentence(f"Site {worst} is the worst", "worse"), Sentence("Few images.")]
    return Section("sites", 1, "By site", {"overall": overall, "sites": sites}, told, packaged=("overall",))


def test_a_new_section_appears_in_page_json_and_package_and_single_sites_stay_at_home(tmp_path):
    labels, sites = ["cat", "dog"] * 4, ["North", "North", "South", "South"] * 2
    table = image_rows([f"{k}" for k in range(8)], ["x.png"] * 8, labels, site=sites)
    answers = np.array([[2.0, 0], [0, 2], [2, 0], [2, 0]] * 2)
    judged = JudgedImages.joined(table, table["id"].to_pylist(), answers, classes=["cat", "dog"], measured_on="test")
    section = by_site(judged)
    page = write_report(Report("t", "now", "a command", [section]), tmp_path).read_text()
    assert all(told in page for told in ("By site", "Site South is the worst", "75.0 %", "50.0 %", "Few images."))
    told = json.loads((tmp_path / "report.json").read_text())["sections"]["sites"]
    assert told["figures"]["sites"]["South"]["value"] == 0.5
    write_package(tmp_path / "package", built_model(), contents=contents(metrics=packaged_metrics([section])))
    assert read_package(tmp_path / "package").metrics["sites"] == {"version": 1, "overall": told["figures"]["overall"]}
    assert "South" not in (tmp_path / "package" / "vitrail.json").read_text()
