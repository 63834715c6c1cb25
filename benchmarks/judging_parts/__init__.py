"""Parts of `benchmarks.judging`: a module `NAME.py` with `measured(repeats, smoke) -> figures` is one.

`repeats` multiplies how often everything is measured; with `smoke` sizes are tiny: whether it runs, not how fast.
`turns.py` times what takes turns.
"""
