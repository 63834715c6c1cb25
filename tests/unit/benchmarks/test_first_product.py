from benchmarks.first_product import _table, product_figures


def test_a_peer_that_never_gets_there_is_a_figure_too():
    rounds = [{"vitrail": 10.0, "finetune_fp32": 50.0, "finetune_bf16": None},
              {"vitrail": 20.0, "finetune_fp32": None, "finetune_bf16": None},
              {"vitrail": None, "finetune_fp32": 80.0, "finetune_bf16": None}]  # fmt: skip
    figures = product_figures(rounds)
    assert figures["finetune_bf16"] is None
    assert figures["times_sooner_than_finetune_bf16"] is None
    reached = [figures[f"{name}_reached"] for name in rounds[0]]
    assert reached == ["2 of 3", "2 of 3", "0 of 3"]
    assert figures["times_sooner_than_finetune_fp32"]["median"] == 5.0
    assert "never" in _table({"product": figures})
