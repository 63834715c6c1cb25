"""Parts of `benchmarks.serving`."""
