import pyarrow as pa
import pytest

from vitrail.basics.errors import InputError
from vitrail.monitoring.told_requests import ToldRequest
from vitrail.rollout.operating.feedback_images import FeedbackImage, feedback_images
from vitrail.rollout.operating.material import with_feedback

SITE = (("site", "b"),)


def told(request, truth="cat", attributes=SITE):
    return ToldRequest(request, truth, attributes, 0.0)


@pytest.fixture
def kept(tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir()
    for name, content in {"r1": b"one", "r2": b"two", "r3": b"six", "r4": b"one", "r5": b"five"}.items():
        (folder / f"{name}.png").write_bytes(content)
    (folder / ".half.png").write_bytes(b"ha")
    (folder / "noend").write_bytes(b"x")
    return folder


def joined(requests, kept, taken=(), most=10):
    return feedback_images(requests, [kept], classes=["cat", "dog"], taken=list(taken), most=most)


def test_truths_are_joined_with_kept_images_by_request_and_what_is_left_out_is_counted(kept):
    found = joined([told("r2"), told("r9"), told("r3", "unicorn"), told("noend"), told(".half")], kept)
    assert found.images == [FeedbackImage(str(kept / "r2.png"), "cat", SITE)]
    assert found.left_out == {"image not kept": 3, "truth is no class of the data": 1}


def test_images_that_stand_in_the_data_already_are_left_out_by_content(kept, tmp_path):
    (tmp_path / "held.jpg").write_bytes(b"two")
    (tmp_path / "other.jpg").write_bytes(b"owt")
    taken = [str(tmp_path / name) for name in ("held.jpg", "other.jpg", "gone.jpg")]
    found = joined([told("r2"), told("r3")], kept, taken)
    assert [each.path for each in found.images] == [str(kept / "r3.png")]
    assert found.left_out == {"in the data already": 1}


def test_copies_count_once_and_contradicting_truths_not_at_all(kept):
    assert joined([told("r1"), told("r4")], kept).left_out == {"copy of another": 1}
    found = joined([told("r1"), told("r4", "dog"), told("r5")], kept)
    assert [each.path for each in found.images] == [str(kept / "r5.png")]
    assert found.left_out == {"different truths about one image": 2}


def test_the_latest_are_taken_up_to_the_share(kept):
    found = joined([told("r5"), told("r3"), told("r2")], kept, most=2)
    assert [each.path[-6:-4] for each in found.images] == ["r5", "r3"]
    assert found.left_out == {"more than the share that feedback may have": 1}


def test_a_folder_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no such folder of feedback images\nhint: vitrail serve … --keep"):
        joined([], tmp_path / "none")


def test_feedback_becomes_rows_to_train_on_with_attributes_as_columns_and_numbers_stay_numbers():
    rows = pa.table({
        "path": ["/a"], "frame": pa.array([0], pa.int32()), "label": ["dog"],
        "split": pa.array([None], pa.string()), "group": ["p1"], "age": pa.array([40.0]),
    })  # fmt: skip
    given = (("age", "50"), ("label", "owl"), ("site", "b"))
    table = with_feedback(rows, [FeedbackImage("/k", "cat", given), FeedbackImage("/l", "cat", ())])
    assert table.to_pydict() == {
        "path": ["/a", "/k", "/l"], "frame": [0, 0, 0], "label": ["dog", "cat", "cat"],
        "split": [None, "train", "train"], "group": ["p1", None, None], "age": [40.0, 50.0, None],
        "site": [None, "b", None], "feedback": [None, "yes", "yes"],
    }  # fmt: skip
    words = with_feedback(rows, [FeedbackImage("/k", "cat", (("age", "old"),))])
    assert words["age"].to_pylist() == ["40", "old"]  # what is no number makes words of all
    assert with_feedback(rows, []).column_names == rows.column_names
