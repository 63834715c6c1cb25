"""Using a model: how it is executed on this machine, and the predictor a package becomes."""
