"""Changing what serves: the version store, admission, and the way of a new version into the traffic."""
