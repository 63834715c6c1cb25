"""Judging a model: its quality with intervals, and the report."""
