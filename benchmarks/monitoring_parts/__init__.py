"""The parts of `benchmarks.monitoring`, each of which runs alone."""
