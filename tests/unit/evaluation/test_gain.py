from vitrail.evaluation.gain import gain_sentence
from vitrail.measures.intervals import Measure


def test_the_gain_is_told_with_the_split_in_words_and_real_minus_signs():
    figures = {
        "measured_on": "val",
        "accuracy": Measure("accuracy", 0.582, 153, 0.502, 0.657).as_json(),
        "gain": {"absolute_improvement": Measure("gain", 0.026, 153, -0.059, 0.111).as_json()},
    }
    assert gain_sentence(figures) == (
        "From nothing, with as many epochs, the same network reaches 58.2 % (50.2–65.7, n = 153) on the same "
        "validation images; pretraining gained +2.6 points (−5.9 to +11.1)."
    )
