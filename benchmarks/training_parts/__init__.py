"""The parts of `benchmarks.training`, each of which runs alone."""
