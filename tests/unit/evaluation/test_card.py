from vitrail.evaluation.card import as_text, model_card


def test_nothing_in_a_name_is_markup_in_the_card():
    names = ["<script>alert(1)</script>", "a|b", "line\nbreak\n# title", "[x](javascript:y)", "`code`", "10", "2", "\\"]
    card = model_card(
        title="---\nx: <b>", classes=names, facts={"model": "vit_tiny|<i>"}, qualities={}, licence='a\nb: "c"'
    )
    for markup in ("<script", "<b>", "<i>", "](", "\n# title", "`code`", "a|b", "\nb:"):
        assert markup not in card, markup
    assert card.split("\n---\n")[0].endswith('license: "a\\nb: \\"c\\""')
    assert card.index(" 2,") < card.index(" 10,"), "people count"
    assert "seals this folder against accidents, not against adversaries" in card
    assert "whoever has one of these very files can find out that it was trained on" in card


def test_ordinary_names_stay_as_they_are():
    for name in ("vit_tiny_patch16_224.augreg", "ants & bees"[:4], "Größe 3-5", "apache-2.0", "a_b (c), 50 %"):
        assert as_text(name) == name
