"""Changing what serves: versions, admission, and the way of a candidate into the traffic, step by step or back."""
