"""Vectors from inside a model for every image of a data set: `vitrail features`."""
