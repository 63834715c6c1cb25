from tests.unit.rollout.operating.live import confusion
from vitrail.measures.intervals import wilson
from vitrail.rollout.operating.feedback_quality import feedback_verdict

GOOD = wilson(184, 200, name="accuracy")


def verdict(table, changed=False, expected=GOOD):
    return feedback_verdict(confusion(table), expected=expected, changed=changed, least=50)


def test_feedback_that_agrees_is_believed_also_of_a_model_that_got_worse():
    for table in ([[40, 2, 1], [3, 35, 2], [1, 1, 30]], [[30, 10, 8], [10, 25, 10], [5, 9, 22]]):
        found = verdict(table)
        assert found.is_believed and found.sentence.endswith(": more than by chance.")
    assert found.agreement == 77 / 129


def test_feedback_at_chance_is_not_believed_and_the_sentence_says_why():
    found = verdict([[14, 13, 15], [16, 14, 13], [12, 15, 14]])
    assert not found.is_believed and found.exchanged is None
    assert found.sentence == (
        "The feedback, not the model, may be wrong: it agrees with 33.3 % of 126 answers, 33.3 % would be by chance, "
        "and on held-out images the model is right in 92.0 % (87.4–95.0, n = 200); the images are like those that it "
        "knows."
    )


def test_names_that_were_exchanged_are_named():
    found = verdict([[1, 40, 2], [1, 0, 38], [41, 1, 0]], changed=None, expected=None)
    assert found.exchanged == {"cat": "dog", "dog": "owl", "owl": "cat"}
    assert found.sentence.endswith(
        "by chance; whether the images have changed is not known. Names look exchanged: what the model calls “cat” is "
        "called “dog”, “dog” is called “owl”, “owl” is called “cat”."
    )


def test_images_that_changed_are_said_to_have():
    assert "; the images have changed, too." in verdict([[10, 20], [22, 9]], changed=True).sentence


def test_too_little_feedback_says_nothing():
    found = verdict([[1, 20], [20, 1]])
    assert found.is_believed and found.sentence == "Of 42 answers the truth came, too few to judge the feedback itself."
