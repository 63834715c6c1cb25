"""Changing what serves: a candidate takes the place of the stable model step by step, or users keep what they have."""
