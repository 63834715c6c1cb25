import dataclasses

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.evaluation.realistic_report import realistic_answers
from tests.unit.evaluation.test_fairness import judged_images
from vitrail.basics.errors import InputError
from vitrail.evaluation.answers_file import write_answers
from vitrail.evaluation.answers_table import is_answers_table, judged_of_answers, refuse_table_without_answers
from vitrail.evaluation.fairness import FairnessSettings, fairness_section
from vitrail.evaluation.quality import judge
from vitrail.evaluation.subject import Subject
from vitrail.models.parts.decision import Decision

FILES = ["answers.parquet", "answers.csv"]


@pytest.fixture
def written(tmp_path):
    judged = {
        "val": realistic_answers(["=ant", "bee"], n=30),
        "test": realistic_answers(["=ant", "bee"], n=40, split="test"),
    }
    write_answers(judged, tmp_path)
    return tmp_path, judged


@pytest.mark.parametrize("name", FILES)
def test_every_figure_follows_from_the_answers_that_a_fit_wrote(written, name):
    folder, judged = written
    found = judged_of_answers(folder / name)
    assert found.measured_on == "test" and found.classes == ("=ant", "bee") and len(found) == 40
    assert judge(found, seed=0).as_json() == judge(judged["test"], seed=0).as_json()
    assert judged_of_answers(folder / name, split="val").ids == judged["val"].ids
    assert len(judged_of_answers(folder / name, split="all")) == 70
    with pytest.raises(InputError, match=r"no image is marked 'train'; it has val, test"):
        judged_of_answers(folder / name, split="train")


@pytest.mark.parametrize("name", FILES)
def test_patients_are_those_of_their_split(tmp_path, name):
    groups = np.repeat(np.arange(20), 20)
    judged = judged_images(patients=groups)
    write_answers({"val": judged, "test": judged}, tmp_path)
    assert np.array_equal(judged_of_answers(tmp_path / name).groups, groups)
    assert judged_of_answers(tmp_path / name, split="all").group_count == 40


def test_attributes_of_another_table_are_joined_by_id_and_fairness_is_judged_without_a_model(written, tmp_path):
    folder, judged = written
    ids = judged["test"].ids
    attributes = pd.DataFrame({"id": [*reversed(ids[2:]), "other"], "sex": [*"fm" * 19, "f"], "age": [*range(38), 99]})
    attributes.to_csv(tmp_path / "people.csv", index=False)
    for given in (attributes, tmp_path / "people.csv"):
        found = judged_of_answers(folder / "answers.parquet", attributes=given)
        by_id = dict(zip(attributes["id"], attributes["sex"], strict=True))
        assert found.attribute("sex").tolist() == [by_id.get(each) for each in ids]
        assert found.attribute("age").tolist()[:3] == [None, None, 37]
    section = fairness_section(Subject(found), FairnessSettings.parse(attributes="sex", least_group=5))
    assert section.figures["attributes"]["sex"]["images"] == {"f": 19, "m": 19, "missing": 2}


def table(**columns):
    return pa.table({"id": ["a", "b"], "label": ["x", "y"], "p_x": [0.9, 0.2], "p_y": [0.1, 0.8], **columns})


def test_columns_beside_the_answers_are_attributes():
    found = judged_of_answers(table(site=["A", None], predicted=["x", "y"]))
    assert found.attribute("site").tolist() == ["A", None] and found.groups is None


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (table().drop_columns("label"), "the table: no column 'label'; it has id, p_x, p_y"),
        (table().drop_columns(["p_x", "p_y"]), "the table: no column of probabilities"),
        (table(predicted=["y", "y"]), "in 1 of 2 rows the answer is not the most probable class, first in row 1: 'y'"),
        (table(predicted=["x", "z"]), "first in row 2: 'z'"),
        (pa.table({**table().to_pydict(), "p_x": [0.9, None]}), "column 'p_x' is no probability in row 2"),
        (pa.table({**table().to_pydict(), "p_x": ["0.9", "many"]}), "column 'p_x' holds something that is no number"),
        (pa.table({**table().to_pydict(), "label": ["x", None]}), "column 'label' is empty in row 2"),
        (pa.table({**table().to_pydict(), "label": ["x", "w"]}), "the label 'w' is no class of the model"),
        ("nowhere.parquet", "nowhere.parquet: there is no such file"),
    ],
)
def test_what_is_no_table_of_answers_is_refused_by_what_it_lacks(given, text):
    with pytest.raises(InputError) as caught:
        judged_of_answers(given)
    assert text in str(caught.value)


def test_attributes_that_do_not_fit_are_refused():
    for attributes, text in [
        (pa.table({"id": ["a", "a"], "sex": ["f", "m"]}), "the id 'a' stands there twice, with different attributes"),
        (pa.table({"id": ["q"], "sex": ["f"]}), "none of its 1 ids is one of the 2 answered images"),
        (pa.table({"sex": ["f"]}), "no column 'id'"),
        (pa.table({"id": ["a"]}), "there is no attribute; it has id"),
        (pa.table({"id": ["a"], "label": ["x"], "split": ["val"]}), "there is no attribute; it has id, label, split"),
    ]:
        with pytest.raises(InputError, match=text):
            judged_of_answers(table(), attributes=attributes)


def test_a_table_of_answers_is_told_from_one_of_images(tmp_path):
    pq.write_table(table(), tmp_path / "answers.parquet")
    (tmp_path / "images.csv").write_text("path,label\na.jpg,x\n")
    assert is_answers_table(tmp_path / "answers.parquet")
    assert not is_answers_table(tmp_path / "images.csv") and not is_answers_table(tmp_path)
    for fine in (tmp_path / "answers.parquet", tmp_path, tmp_path / "nothing.csv"):
        refuse_table_without_answers(fine)
    pq.write_table(table().drop_columns(["label", "p_x", "p_y"]), tmp_path / "less.parquet")
    with pytest.raises(InputError, match="is no table of answers: it has no column 'label' and no column p_CLASS"):
        refuse_table_without_answers(tmp_path / "less.parquet")


def test_attributes_may_be_called_as_columns_of_answers_are_and_have_no_number_twice():
    attributes = pa.table(
        {
            "id": ["a", "b", "a"],
            "p_stage": ["I", "II", "I"],
            "predicted": ["u", "v", "u"],
            "age": [float("nan"), 3.0, float("nan")],
        }
    )
    found = judged_of_answers(table(), attributes=attributes)
    assert found.attribute("p_stage").tolist() == ["I", "II"] and found.attribute("predicted").tolist() == ["u", "v"]


def decided(**numbers):
    judged = realistic_answers(["well", "ill"], n=60, skill=1.0)
    return dataclasses.replace(judged, decision=Decision(("well", "ill"), **numbers))


def test_a_table_of_answers_is_judged_as_the_package_decided(tmp_path):
    judged = decided(threshold=0.9, least_probability=0.6)
    assert (judged.predicted != judged.most_probable).any() and not judged.decision.sure(judged.probabilities).all()
    write_answers({"val": judged}, tmp_path)
    found = judged_of_answers(tmp_path / "answers.parquet")
    assert judge(found, seed=0).as_json() == judge(judged, seed=0).as_json()
    with pytest.raises(InputError, match="decided otherwise than for the most probable class") as caught:
        judged_of_answers(tmp_path / "answers.csv")
    assert "answers.parquet" in caught.value.hint
    lost = pq.read_table(tmp_path / "answers.parquet").drop_columns(["decided"])
    assert judged_of_answers(lost).decision is None


def test_a_table_whose_decision_makes_no_sense_is_refused(tmp_path):
    write_answers({"val": decided(threshold=0.9)}, tmp_path)
    answers = pq.read_table(tmp_path / "answers.parquet")
    for kept in ("{", "[]", '{"classes": ["well", "ill"], "threshold": 7}'):
        with pytest.raises(InputError, match="how answers are decided makes no sense"):
            judged_of_answers(answers.replace_schema_metadata({"decision": kept}))
