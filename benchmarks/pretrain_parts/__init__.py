"""Parts of the benchmark of pretraining."""
