"""Parts of `benchmarks.prediction`."""
