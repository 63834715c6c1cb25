"""Inside a model: the feature pass, its memory-mapped sink, the probe and the nearest neighbours on it."""
