"""The parts of `benchmarks.features`, each of which runs alone."""
