from vitrail.pages.guidance import CAUTIONS


def test_the_four_uses_to_be_careful_about_are_named() -> None:
    text = " ".join(f"{caution.topic} {caution.why} {caution.instead}" for caution in CAUTIONS).lower()
    for word in ("deadline", "reasons", "persons", "same source", "high confidence"):
        assert word in text
